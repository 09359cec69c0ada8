"""Which model a file holds: its keys and shapes decide, and they must fit exactly."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoint import Checkpoint, Differences, Shapes, compare
from maskadapter.hub.key_names import to_official
from maskadapter.models.build import MODELS, PoolerName
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.system.error_text import first_line

HELD: tuple[PoolerName, ...] = ("adapter", "pooling")
"""What files are told apart by. Those for pooling do for cropping too: neither has weights of its own."""

AdapterOptions = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Variant:
    """One way in which a named model occurs in files: with either embedding, with or without its mask generator.

    adapter: what its adapter has other than the published ones, pairs of a ``MaskAdapter`` argument and its value.
    """

    name: str
    pooler: PoolerName
    generator: bool = True
    adapter: AdapterOptions = ()

    def __str__(self) -> str:
        return f"{self.name} with {self.pooler}" + ("" if self.generator else ", without a mask generator")

    def build(self) -> OpenVocabularySegmenter:
        return MODELS[self.name](self.pooler, self.generator, **dict(self.adapter))


def identify(checkpoint: Checkpoint, architecture: str | None = None, pooler: PoolerName | None = None) -> Variant:
    """The one variant that holds exactly the tensors of a file, or CheckpointError with what differs."""
    if architecture is not None and architecture not in MODELS:
        raise CheckpointError(f"unknown model '{architecture}': choose from {', '.join(MODELS)}")
    stated = checkpoint.metadata.get("model")
    names = [name for name in (architecture, stated) if name is not None][:1] or list(MODELS)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise CheckpointError(f"{checkpoint.source} says it is '{unknown[0]}', which this version does not know")
    variants = _variants(names, _adapter_of(checkpoint))
    compared = {variant: compare(shapes_of(variant), checkpoint.shapes) for variant in variants}
    fitting = [variant for variant, differences in compared.items() if not differences]
    if len(fitting) == 1:
        return _with_embedding(fitting[0], pooler, checkpoint)
    if fitting:
        raise CheckpointError(
            f"{checkpoint.source} fits {', '.join(map(str, fitting))}: say which by architecture=NAME"
        )
    closest = min(compared, key=lambda variant: len(compared[variant]))
    advice = "" if architecture else "; if it is another model, say so by architecture=NAME"
    raise CheckpointError(
        f"{checkpoint.source} fits no model. The closest is {closest}: "
        f"{_described(compared[closest], checkpoint)}{advice}"
    )


def shapes_of(variant: Variant) -> Shapes:
    """Names and shapes of every tensor of a variant; nothing is allocated."""
    absent = ("pooler.",) * (variant.pooler != "adapter") + ("generator.",) * (not variant.generator)
    whole = _all_shapes(variant.name, variant.adapter)
    return {key: shape for key, shape in whole.items() if not key.startswith(absent)}


@cache
def _all_shapes(name: str, adapter: AdapterOptions) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        whole = Variant(name, "adapter", adapter=adapter).build()
    return {key: tuple(tensor.shape) for key, tensor in whole.state_dict().items()}


def _variants(names: list[str], adapter: AdapterOptions) -> Iterator[Variant]:
    for name in names:
        for pooler in HELD:
            yield Variant(name, pooler, adapter=adapter if pooler == "adapter" else ())
        yield Variant(name, "adapter", generator=False, adapter=adapter)


def _adapter_of(checkpoint: Checkpoint) -> AdapterOptions:
    """What a file of this project says of its adapter; nothing in official files and in those of earlier versions."""
    try:
        stated = json.loads(checkpoint.metadata.get("settings", "{}")).get("adapter", {})
        with torch.device("meta"):
            MaskAdapter(feature_dim=1, **stated)
    except Exception as error:  # anything may stand in a damaged file
        raise CheckpointError(f"{checkpoint.source} has damaged settings ({first_line(error)})") from None
    return tuple(sorted(stated.items()))


def _with_embedding(variant: Variant, wanted: PoolerName | None, checkpoint: Checkpoint) -> Variant:
    if wanted is None or wanted == variant.pooler:
        return variant
    if wanted == "cropping" and variant.pooler == "pooling":
        return replace(variant, pooler=wanted)
    if wanted == "adapter":
        raise CheckpointError(
            f"{checkpoint.source} holds no adapter: add adapter=<warm-up file>, or use pooler='pooling'"
        )
    raise CheckpointError(
        f"{checkpoint.source} holds an adapter, and embedding='{wanted}' would leave it out: give the segmenter's own "
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
