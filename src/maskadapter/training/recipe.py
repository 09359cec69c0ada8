"""A recipe: everything that a training run depends on, in one flat YAML file. One file is one published row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from maskadapter.errors import RecipeError
from maskadapter.system.yaml_config import checked, read_yaml

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Model(_Part):
    """What is trained.

    name: an entry of the named models, whose shapes are taken. start: where the frozen weights come from: a CLIP encoder
    by its name (warm-up), a named model, or a file. adapter: a file whose adapter training goes on from; without it
    the one in ``start``, and without that random values. transfer_norm: of MAFT+'s transfer of text, see
    ``ContentDependentTransfer``. The other keys are the adapter's, see ``MaskAdapter``. Null is the model's own.
    """

    name: str
    start: str
    adapter: str | None = None
    transfer_norm: Literal["sum", "update"] | None = None
    num_maps: Positive = 16
    num_blocks: Annotated[int, Field(ge=0)] = 3
    hidden_dim: Positive | None = None
    patchify: Literal["two-3x3", "one-4x4"] = "two-3x3"
    fusion: Literal["add", "concatenate"] = "add"
    use_features: bool = True


class TrainingSet(_Part):
    """name: a known data set, or the path of a ``custom.yaml``. ratio: its share of the batches, relative to the
    others'. repeat_threshold: images of classes rarer than this share are repeated (LVIS: 0.001); 0 repeats none."""

    name: str
    ratio: Annotated[float, Field(gt=0)] = 1.0
    repeat_threshold: Share = 0.0


class Data(_Part):
    """train: data sets. crop: pixels of the square that is trained on. scale: smallest and largest size of the image
    relative to the crop. flip: share of images that are mirrored. color: jitter brightness, contrast, saturation,
    hue."""

    train: Annotated[tuple[TrainingSet, ...], Field(min_length=1)]
    crop: Positive
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.1, 2.0)
    flip: Share = 0.5
    color: bool = False
    workers: Annotated[int, Field(ge=0)] = 2

    @model_validator(mode="after")
    def _scale_grows(self) -> "Data":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale is [{self.scale[0]}, {self.scale[1]}]; the smaller number comes first")
        return self


class Masks(_Part):
    """Which masks of an image a step trains on. See ``PredictedMasks`` for the last five, which the mixed stage uses.

    ground_truth: slots for ground-truth masks, 32 in the official warm-up, 16 in its mixed stage. predicted: slots for
    predicted ones.
    """

    ground_truth: Positive
    predicted: Annotated[int, Field(ge=0)] = 0
    matcher: Literal["iou", "hungarian"] = "iou"
    iou_threshold: Share = 0.7
    matching_threshold: Share = 0.5
    soft_edges: bool = False
    left_over: Literal["empty", "full", "ignored"] = "ignored"
    detach_true: bool = True


class Loss(_Part):
    """Weights, and what the sums are divided by: the masks of this process's images ("process"), or those of the
    whole batch on all processes ("global"), which makes the result independent of how the batch is split."""

    classification: Annotated[float, Field(ge=0)] = 2.0
    consistency: Annotated[float, Field(ge=0)] = 5.0
    normalize: Literal["process", "global"] = "global"


class Optimizer(_Part):
    """AdamW. decayed: see ``training/optimizer.py``. clip_norm: largest norm of the whole gradient; 0 does not clip."""

    lr: Annotated[float, Field(gt=0)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    decayed: Literal["official", "matrices"] = "matrices"
    clip_norm: Annotated[float, Field(ge=0)] = 1.0


class Schedule(_Part):
    """kind: ``"steps"`` multiplies the learning rate by ``factor`` at every milestone, ``"polynomial"`` lets it fall to
    0 with ``power``. warmup: first steps, in which it climbs from ``warmup_factor``."""

    kind: Literal["steps", "polynomial"] = "polynomial"
    milestones: tuple[Positive, ...] = ()
    factor: Share = 0.1
    power: Annotated[float, Field(gt=0)] = 0.9
    warmup: Annotated[int, Field(ge=0)] = 0
    warmup_factor: Share = 1.0


class Run(_Part):
    """iterations: steps of the optimizer. batch_size: images in a step, over all processes and accumulated parts.
    accumulate: parts that a step is computed in. precision: of the network's arithmetic. checkpoint_blocks: keep less
    for the backward pass, compute more. stochastic_depth: leave CLIP's on, as the official MAFT+ stage does by
    accident. trainable_void: the void embedding is trained too. save_every, keep: checkpoints."""

    iterations: Positive
    batch_size: Positive
    accumulate: Positive = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    checkpoint_blocks: bool = False
    stochastic_depth: bool = False
    trainable_void: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    save_every: Positive = 1000
    keep: Positive = 2
    log_every: Positive = 20


class Evaluation(_Part):
    """every: steps between two evaluations; 0 evaluates never. datasets: what on, of which ``images`` at most (0: all
    of them)."""

    every: Annotated[int, Field(ge=0)] = 0
    datasets: tuple[str, ...] = ()
    images: Annotated[int, Field(ge=0)] = 0


# What has no effect, and is refused so that nobody believes it has.
_UNUSED_BY_STAGE: dict[str, set[str]] = {"warmup": set(), "mixed": set(), "generator": {"masks", "loss"}}
_UNUSED_BY_SCHEDULE: dict[str, set[str]] = {"steps": {"power"}, "polynomial": {"milestones", "factor"}}


class Recipe(_Part):
    """stage: ``"warmup"`` trains the adapter on ground-truth masks, ``"mixed"`` on true and predicted ones, ``"generator"``
    the mask generator. Source: paper, section 3.3 and 4.1; see ``recipes/`` for the published rows."""

    stage: Literal["warmup", "mixed", "generator"]
    model: Model
    data: Data
    masks: Masks = Masks(ground_truth=32)
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    run: Run
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        for part in sorted(_UNUSED_BY_STAGE[self.stage] & self.model_fields_set):
            raise ValueError(f"'{part}' is for the adapter's stages: the generator's losses are Mask2Former's own")
        for key in sorted(_UNUSED_BY_SCHEDULE[self.schedule.kind] & self.schedule.model_fields_set):
            raise ValueError(f"schedule.{key} has no meaning for schedule.kind {self.schedule.kind}")
        if self.stage == "mixed" and not self.masks.predicted:
            raise ValueError("the mixed stage needs masks.predicted above 0")
        if self.stage == "warmup" and self.masks.predicted:
            raise ValueError("the warm-up trains on ground-truth masks alone: masks.predicted is for the mixed stage")
        if self.run.batch_size % self.run.accumulate:
            raise ValueError(f"run.batch_size {self.run.batch_size} is no multiple of run.accumulate")
        if self.evaluation.every and not self.evaluation.datasets:
            raise ValueError("evaluation.every needs evaluation.datasets")
        return self


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a file. changes: ``"optimizer.lr=5e-5"``, YAML values that replace the file's.

    Raises RecipeError, one line: an unknown key ("did you mean"), a value out of range, a change without "=".
    """
    content = read_yaml(Path(path), RecipeError)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {change}: a change has the form key=value, for example optimizer.lr=5e-5")
        _put(content, key.split("."), _value(change, value))
    return checked(Recipe, content, str(path), RecipeError)


def as_yaml(recipe: Recipe) -> str:
    """The resolved recipe, defaults included, as a file that ``read_recipe`` reads back to the same."""
    unused = dict.fromkeys(_UNUSED_BY_STAGE[recipe.stage], True)
    content = recipe.model_dump(
        mode="json", exclude={**unused, "schedule": dict.fromkeys(_UNUSED_BY_SCHEDULE[recipe.schedule.kind], True)}
    )
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _value(change: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {change}: the value is not YAML") from None


def _put(content: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inside = content.setdefault(key, {})
        if not isinstance(inside, dict):
            raise RecipeError(f"--set {'.'.join(keys)}: {key} is a value and has no keys of its own")
        content = inside
    content[keys[-1]] = value
