"""Which model a file holds: its keys and shapes decide, and they must fit exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch

from maskadapter.checkpoint import Checkpoint, Differences, Shapes, compare
from maskadapter.convert import to_official
from maskadapter.errors import CheckpointError
from maskadapter.models.build import MODELS, EmbeddingName
from maskadapter.models.segmenter import OpenVocabularySegmenter

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


def identify(checkpoint: Checkpoint, like: str | None = None, embedding: EmbeddingName | None = None) -> Variant:
    """The one variant that holds exactly the tensors of a file, or CheckpointError with what differs."""
    if like is not None and like not in MODELS:
        raise CheckpointError(f"unknown model '{like}': choose from {', '.join(MODELS)}")
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
