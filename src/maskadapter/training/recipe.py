"""A recipe: everything that a training run depends on, in one flat YAML file. One file is one row of a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from maskadapter.errors import RecipeError
from maskadapter.system.renamed import renamed
from maskadapter.system.yaml_config import checked, read_yaml
from maskadapter.training.quirks import RECOMMENDED, TrainingQuirks
from maskadapter.training.section import Above0, Count, Positive, Section, Seed, Share, Weight


class AdapterSettings(Section):
    """The design of the adapter, see ``MaskAdapter``. hidden_dim: null is the architecture's own."""

    num_maps: Positive = 16
    num_blocks: Count = 3
    hidden_dim: Positive | None = None
    patchify: Literal["two-3x3", "one-4x4"] = "two-3x3"
    fusion: Literal["add", "concatenate"] = "add"
    use_features: bool = True


class Model(AdapterSettings):
    """The model that is trained, and its initial weights.

    architecture: an entry of the model zoo. weights: of the frozen parts: the name of a CLIP encoder (warm-up) or of a
    model, or a file. adapter: a file whose adapter training goes on from; null: that of ``weights``, else random.
    """

    architecture: str
    weights: str
    adapter: str | None = None


class TrainingSet(Section):
    """A data set to train on. name: or the path of a ``custom.yaml``. ratio: its share of the batches.

    repeat_threshold: images of classes rarer than this share are repeated (LVIS: 0.001); 0 repeats none.
    """

    name: str
    ratio: Above0 = 1.0
    repeat_threshold: Share = 0.0


class Data(Section):
    """Data sets and augmentation.

    crop: pixels of the square that is trained on. scale: smallest and largest size of the image relative to the crop.
    flip: share of mirrored images. color: jitter brightness, contrast, saturation, hue. workers: processes that load
    images, on each training process.
    """

    train: Annotated[tuple[TrainingSet, ...], Field(min_length=1)]
    crop: Positive
    scale: tuple[Above0, Above0] = (0.1, 2.0)
    flip: Share = 0.5
    color: bool = False
    workers: Count = 2

    @model_validator(mode="after")
    def _scale_grows(self) -> "Data":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale is [{self.scale[0]}, {self.scale[1]}]; the smaller number comes first")
        return self


class Masks(Section):
    """The masks of an image that a step trains on: at most so many ground-truth masks, and predicted ones.

    matcher (mixed stage): ``"iou"`` keeps predictions close to a ground-truth mask, ``"hungarian"`` finds one for every
    ground-truth mask. matching_threshold: probability at which a prediction is binary for its IoU; the mask that is
    trained on is binary at the pooler's own threshold.
    """

    ground_truth: Positive
    predicted: Count = 0
    matcher: Literal["iou", "hungarian"] = "iou"
    iou_threshold: Share = 0.7
    matching_threshold: Share = 0.5


class Loss(Section):
    """Weights of the adapter's losses. Source: paper, section 4.1."""

    classification: Weight = 2.0
    consistency: Weight = 5.0


LOSS = Loss()


class Optimizer(Section):
    """AdamW. clip_norm: largest norm of the whole gradient; 0 does not clip."""

    lr: Above0 = 1e-4
    weight_decay: Weight = 0.05
    clip_norm: Weight = 1.0


class Schedule(Section):
    """The learning rate over the run. warmup: first steps, in which it climbs from ``warmup_factor``.

    kind: ``"steps"`` multiplies it by ``factor`` at every milestone, ``"polynomial"`` lets it fall to 0 with ``power``.
    """

    kind: Literal["steps", "polynomial"] = "polynomial"
    milestones: tuple[Positive, ...] = ()
    factor: Share = 0.1
    power: Above0 = 0.9
    warmup: Count = 0
    warmup_factor: Share = 1.0


class Run(Section):
    """Length of the run, arithmetic and checkpoints.

    iterations, save_every, log_every: in steps of the optimizer. batch_size: images in a step, over all processes and
    parts. accumulate: parts of a step. checkpoint_blocks: keep less for the backward pass, compute more. keep: so many
    checkpoints.
    """

    iterations: Positive
    batch_size: Positive
    accumulate: Positive = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    checkpoint_blocks: bool = False
    seed: Seed = 0
    save_every: Positive = 1000
    keep: Positive = 2
    log_every: Positive = 20


class Evaluation(Section):
    """Evaluation during training, each ``every`` steps (0: never), on ``images`` of each data set (0: all of them)."""

    every: Count = 0
    datasets: tuple[str, ...] = ()
    images: Count = 0


# Sections and keys without effect, refused so that nobody believes they have one.
_ADAPTER_QUIRKS = {"soft_mask_edges", "unmatched_slots", "detach_ground_truth", "loss_normalization"}
_UNUSED_BY_SCHEDULE = {"steps": {"power"}, "polynomial": {"milestones", "factor"}}


class Recipe(Section):
    """A training run.

    stage: ``"warmup"`` trains the adapter on ground-truth masks, ``"mixed"`` on ground-truth and predicted masks,
    ``"generator"`` the mask generator. Source: paper, section 3.3 and 4.1; see ``recipes/`` for the published rows.
    """

    stage: Literal["warmup", "mixed", "generator"]
    model: Model
    data: Data
    masks: Masks = Masks(ground_truth=32)
    loss: Loss = LOSS
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    run: Run
    evaluation: Evaluation = Evaluation()
    upstream_quirks: TrainingQuirks = RECOMMENDED

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        adapter_parts, adapter_quirks = self._adapter_only
        for part in sorted(adapter_parts & self.model_fields_set):
            raise ValueError(f"'{part}' is for the adapter's stages: the mask generator's losses are Mask2Former's own")
        for key in sorted(adapter_quirks & self.upstream_quirks.model_fields_set):
            raise ValueError(f"upstream_quirks.{key} is for the adapter's stages")
        for key in sorted(_UNUSED_BY_SCHEDULE[self.schedule.kind] & self.schedule.model_fields_set):
            raise ValueError(f"schedule.{key} has no meaning for schedule.kind {self.schedule.kind}")
        if self.stage == "mixed" and not self.masks.predicted:
            raise ValueError("the mixed stage needs masks.predicted above 0")
        if self.stage == "warmup" and self.masks.predicted:
            raise ValueError("the warm-up trains on ground-truth masks alone: masks.predicted is for the mixed stage")
        if self.run.batch_size % self.run.accumulate:
            raise ValueError(f"run.batch_size {self.run.batch_size} is not a multiple of run.accumulate")
        if self.evaluation.every and not self.evaluation.datasets:
            raise ValueError("evaluation.every needs evaluation.datasets")
        return self

    @property
    def trains_void_embedding(self) -> bool:
        chosen = self.upstream_quirks.train_void_embedding
        return self.stage != "mixed" if chosen is None else chosen

    @property
    def _adapter_only(self) -> tuple[set[str], set[str]]:
        return ({"masks", "loss"}, _ADAPTER_QUIRKS) if self.stage == "generator" else (set(), set())


class LearnedModel(Section):
    """The model whose classifiers learn. weights: a model's name or file. adapter: whose adapter it pools with; null:
    as the weights are."""

    weights: str
    adapter: str | None = None


class OwnSet(Section):
    """A data set to learn from. name: or the path of a ``custom.yaml``."""

    name: str


class OwnData(Section):
    """train: one data set. held_out: share of its images to evaluate on, drawn by ``run.seed``, where it has no val."""

    train: Annotated[tuple[OwnSet, ...], Field(min_length=1, max_length=1)]
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2


class OwnRun(Section):
    """penalties: strengths of the pull to the start, tried in turn, strong to weak; the best on held-out images stays.
    iterations: steps of the optimizer with each."""

    penalties: Annotated[tuple[Above0, ...], Field(min_length=1)] = (
        100.0,
        30.0,
        10.0,
        3.0,
        1.0,
        0.3,
        0.1,
        0.03,
        0.01,
        0.003,
    )
    iterations: Positive = 20
    seed: Seed = 0


class OwnEvaluation(Section):
    """Evaluation on held-out images, before and after: at most so many ``images``; 0 takes all."""

    images: Count = 0


class ClassifierRecipe(Section):
    """Learning classes of one's own from few images, with everything but the classifiers frozen; not the paper's."""

    stage: Literal["classifier"]
    model: LearnedModel
    data: OwnData
    run: OwnRun = OwnRun()
    evaluation: OwnEvaluation = OwnEvaluation()


AnyRecipe = Recipe | ClassifierRecipe


def adapter_config(recipe: Recipe) -> dict[str, Any]:
    """The design of the recipe's adapter, as keyword arguments of ``MaskAdapter``; what is null is left out."""
    return recipe.model.model_dump(include=set(AdapterSettings.model_fields), exclude_none=True)


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> AnyRecipe:
    """The recipe in a file. changes: ``"optimizer.lr=5e-5"``, YAML values that replace the file's.

    Raises RecipeError, one line: an unknown key, a key that has another name now, a value out of range.
    """
    content = read_yaml(Path(path), RecipeError)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {change}: a change has the form key=value, for example optimizer.lr=5e-5")
        try:
            _put(content, key.split("."), yaml.safe_load(value))
        except yaml.YAMLError:
            raise RecipeError(f"--set {change}: the value is not YAML") from None
    for old, new in renamed("recipe key").items():
        section, key = old.split(".")
        if isinstance(content.get(section), Mapping) and key in content[section]:
            raise RecipeError(f"{path}: unknown key '{old}': it is now '{new}'")
    if content.get("stage") == "classifier":
        return checked(ClassifierRecipe, content, str(path), RecipeError)
    return checked(Recipe, content, str(path), RecipeError)


def as_yaml(recipe: AnyRecipe) -> str:
    """The resolved recipe, defaults included, as a file that ``read_recipe`` reads back to the same."""
    unused: dict[str, Any] = {}
    if isinstance(recipe, Recipe):
        parts, quirks = recipe._adapter_only
        unused = {"schedule": _UNUSED_BY_SCHEDULE[recipe.schedule.kind], "upstream_quirks": quirks}
        unused |= dict.fromkeys(parts, True)
    content = recipe.model_dump(mode="json", exclude=unused)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _put(content: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inside = content.setdefault(key, {})
        if not isinstance(inside, dict):
            raise RecipeError(f"--set {'.'.join(keys)}: {key} is a value and has no keys of its own")
        content = inside
    content[keys[-1]] = value
