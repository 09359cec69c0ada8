"""Models by name or by file: which builder fits, strictly, and the weights put in."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch

from maskadapter.checkpoint import (
    Checkpoint,
    Differences,
    Shapes,
    compare,
    first_line,
    read_checkpoint,
    write_checkpoint,
)
from maskadapter.convert import to_official
from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.models.build import MODELS, EmbeddingName
from maskadapter.models.embedding import MaskAdapterEmbedding
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import Inference, OpenVocabularySegmenter

DEFAULT = "tiny"
EMBEDDINGS: tuple[EmbeddingName, ...] = ("adapter", "pooling")


@dataclass(frozen=True)
class Variant:
    """One way in which a named model occurs in files: with either embedding, with or without its mask generator."""

    name: str
    embedding: EmbeddingName
    generator: bool = True

    def __str__(self) -> str:
        return f"{self.name} with {self.embedding}" + ("" if self.generator else ", without a mask generator")

    def build(self) -> OpenVocabularySegmenter:
        return MODELS[self.name](self.embedding, self.generator)


def load(
    model: str | Path | None = None,
    *,
    embedding: EmbeddingName | None = None,
    adapter: str | Path | None = None,
    like: str | None = None,
    device: str | torch.device = "cpu",
) -> OpenVocabularySegmenter:
    """A model, ready to use.

    model: None for the embedded ``tiny``; a name (``"fcclip-large"``); or the path of a ``.safetensors`` file of this
        project or of an official ``.pth``, whose keys and shapes tell which model it is.
    embedding: ``"adapter"`` or ``"pooling"``; None takes what the file holds.
    adapter: path of a warm-up file. Its adapter is joined to the segmenter in ``model``: generator and void embedding
        come from ``model``, everything else from the warm-up file; where both hold a tensor they must agree.
    like: name of the model that a file is to be read as, where its keys alone do not decide.
    device: where to put it, ``"cpu"``, ``"cuda"``, ``"mps"``.

    Raises CheckpointError, one line: unknown model, no such file, damaged or unsafe file, keys that do not fit; and
    MaskAdapterError for a device that this machine or this PyTorch lacks.
    """
    if like is not None and like not in MODELS:
        raise CheckpointError(f"unknown model '{like}': choose from {', '.join(MODELS)}")
    _check_device(device)
    model = DEFAULT if model is None else model
    checkpoint = _find(model)
    if adapter is not None:
        checkpoint = fuse(checkpoint, read_checkpoint(adapter))
    variant = identify(checkpoint, DEFAULT if model == DEFAULT else like, embedding)
    with torch.device("meta"):  # no time is spent on random values that the file replaces
        segmenter = variant.build()
    # Files may hold half precision; the models are float32.
    tensors = {key: t.float() if t.is_floating_point() else t for key, t in checkpoint.tensors.items()}
    try:
        segmenter.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint.source} holds tensors of the wrong type ({first_line(error)})") from error
    segmenter.clip.restore_causal_mask()
    if "settings" in checkpoint.metadata:
        try:
            _apply(json.loads(checkpoint.metadata["settings"]), segmenter)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{checkpoint.source} has damaged settings ({first_line(error)})") from error
    return segmenter.requires_grad_(False).eval().to(device)


def save(segmenter: OpenVocabularySegmenter, path: str | Path, name: str, **metadata: str) -> Path:
    """Write a model as safetensors with its facts: ``name`` (an entry of ``MODELS``), its settings, and
    ``metadata``."""
    facts = {"format": "maskadapter", "model": name, "settings": json.dumps(_settings(segmenter))}
    write_checkpoint(path, segmenter.state_dict(), {**metadata, **facts})
    return Path(path)


def _settings(segmenter: OpenVocabularySegmenter) -> dict[str, Any]:
    """What the weights do not show and a user may have changed."""
    settings: dict[str, Any] = {"inference": asdict(segmenter.inference), "cell_order": segmenter.clip.cell_order}
    if isinstance(segmenter.embedding, MaskAdapterEmbedding):
        settings["mask_threshold"] = segmenter.embedding.mask_threshold
    if segmenter.text_transfer is not None:
        settings["norm_placement"] = segmenter.text_transfer.norm_placement
    return settings


def _apply(settings: dict[str, Any], segmenter: OpenVocabularySegmenter) -> None:
    inference = settings["inference"]
    segmenter.inference = Inference(**{**inference, "input_size": InputSize(**inference["input_size"])})
    segmenter.clip.cell_order = settings["cell_order"]
    if isinstance(segmenter.embedding, MaskAdapterEmbedding):
        segmenter.embedding.mask_threshold = settings["mask_threshold"]
    if segmenter.text_transfer is not None:
        segmenter.text_transfer.norm_placement = settings["norm_placement"]


def fuse(segmenter: Checkpoint, warmup: Checkpoint) -> Checkpoint:
    """Join a segmenter's file and a warm-up file of its adapter.

    Generator and void embedding come from the segmenter, the adapter from the warm-up file, and CLIP and MAFT+'s
    transfer from both, which must be equal: an adapter serves only the CLIP it was trained on.
    Source: official tools/weight_fuse_*.py, which take CLIP from the warm-up file unchecked.
    """
    if not any(key.startswith("embedding.adapter.") for key in warmup.tensors):
        raise CheckpointError(f"{warmup.source} holds no adapter: give the warm-up file of a Mask-Adapter")
    if not any(key.startswith("generator.") for key in segmenter.tensors):
        raise CheckpointError(f"{segmenter.source} holds no mask generator: give a segmenter's file and the adapter's")
    shared = [key for key in warmup.tensors if key.startswith(("clip.", "text_transfer."))]
    differences = compare(
        {key: tuple(warmup.tensors[key].shape) for key in shared},
        {key: shape for key, shape in segmenter.shapes.items() if key.startswith(("clip.", "text_transfer."))},
    )
    if differences:
        raise CheckpointError(f"{segmenter.source} and {warmup.source} are not of one model: {differences}")
    for key in shared:
        if not torch.equal(segmenter.tensors[key], warmup.tensors[key]):
            raise CheckpointError(
                f"{segmenter.source} and {warmup.source} hold different values of {key}: "
                "the adapter was trained on another CLIP; use the segmenter that it was trained for"
            )
    adapters = {key: tensor for key, tensor in warmup.tensors.items() if key.startswith("embedding.adapter.")}
    kept = {key: tensor for key, tensor in segmenter.tensors.items() if not key.startswith("embedding.adapter.")}
    return replace(segmenter, tensors={**kept, **adapters})


def identify(checkpoint: Checkpoint, like: str | None = None, embedding: EmbeddingName | None = None) -> Variant:
    """The one variant that holds exactly the tensors of a file, or CheckpointError with what differs."""
    stated = checkpoint.metadata.get("model")
    names = [name for name in (like, stated) if name is not None][:1] or list(MODELS)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise CheckpointError(f"{checkpoint.source} says it is '{unknown[0]}', which this version does not know")
    compared = {variant: compare(shapes_of(variant), checkpoint.shapes) for variant in _variants(names)}
    fitting = [variant for variant, differences in compared.items() if not differences]
    if len(fitting) == 1:
        return _with_embedding(fitting[0], embedding, checkpoint)
    if fitting:
        raise CheckpointError(f"{checkpoint.source} fits {', '.join(map(str, fitting))}: say which by like=NAME")
    closest = min(compared, key=lambda variant: len(compared[variant]))
    advice = "" if like else "; if it is another model, say so by like=NAME"
    raise CheckpointError(
        f"{checkpoint.source} fits no model. The closest is {closest}: "
        f"{_described(compared[closest], checkpoint)}{advice}"
    )


def shapes_of(variant: Variant) -> Shapes:
    """Names and shapes of every tensor of a variant; nothing is allocated."""
    absent = ["embedding."] * (variant.embedding == "pooling") + ["generator."] * (not variant.generator)
    return {key: shape for key, shape in _all_shapes(variant.name).items() if not key.startswith(tuple(absent))}


@cache
def _all_shapes(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in MODELS[name]("adapter", True).state_dict().items()}


def _variants(names: list[str]) -> Iterator[Variant]:
    for name in names:
        for embedding in EMBEDDINGS:
            yield Variant(name, embedding)
        yield Variant(name, "adapter", generator=False)


def _find(model: str | Path) -> Checkpoint:
    if str(model) == DEFAULT:
        with as_file(files("maskadapter") / "weights" / f"{DEFAULT}.safetensors") as path:
            return _multiplied_out(read_checkpoint(path))
    if str(model) in MODELS:
        raise CheckpointError(
            f"the weights of {model} are not on this machine: download the official file (README, Models) and give "
            "its path"
        )
    if not Path(model).suffix and not Path(model).exists():
        raise CheckpointError(f"unknown model '{model}': choose from {', '.join(MODELS)}, or give the path of a file")
    return read_checkpoint(model)


def _check_device(device: str | torch.device) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise MaskAdapterError(
            f"device '{device}' cannot be used here ({first_line(error)}): choose cpu, or install a PyTorch for it"
        ) from error


def _multiplied_out(checkpoint: Checkpoint) -> Checkpoint:
    """The embedded weights as the model needs them: the token table is stored as two factors."""
    table = "clip.model.token_embedding"
    tensors = dict(checkpoint.tensors)
    factors = [tensors.pop(f"{table}.factor_{side}").float() for side in "ab"]
    tensors[f"{table}.weight"] = factors[0] @ factors[1]
    return replace(checkpoint, tensors=tensors)


def _with_embedding(variant: Variant, wanted: EmbeddingName | None, checkpoint: Checkpoint) -> Variant:
    if wanted is None or wanted == variant.embedding:
        return variant
    if wanted == "adapter":
        raise CheckpointError(
            f"{checkpoint.source} holds no adapter: add adapter=<warm-up file>, or use embedding='pooling'"
        )
    raise CheckpointError(
        f"{checkpoint.source} holds an adapter, and embedding='pooling' would leave it out: give the segmenter's own "
        "file"
    )


def _described(differences: Differences, checkpoint: Checkpoint) -> str:
    """Differences under the names that the file uses."""
    if not checkpoint.official:
        return str(differences)
    return str(
        Differences(
            missing=tuple(map(to_official, differences.missing)),
            unexpected=tuple(map(to_official, differences.unexpected)),
            changed=tuple((to_official(key), needed, got) for key, needed, got in differences.changed),
        )
    )
