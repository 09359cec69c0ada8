"""Classes given by examples: masks that show a class move the text embeddings of its name."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.errors import MaskError
from maskadapter.io import read_masks
from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.types import EncodedImage
from maskadapter.vocabulary import COMPETING, Example, comparable

# Weights of the examples' mean beside a text embedding, which has length 1. Chosen on training photos that were held
# out: docs/examples.md
WITH_NAME, HALF = 0.25, 1.0  # of very many examples beside a name; so many examples have half of it
ALONE = 1.0  # beside no name


class Encoder(Protocol):
    """What a model does for its examples."""

    def encode_image(self, image: Any, masks: Any = None) -> EncodedImage: ...
    def encode_text(self, classes: Any) -> EncodedVocabulary: ...
    def given_embeddings(self, encoded: EncodedImage) -> Tensor: ...


class ExampleCache:
    """Remembers the vectors of examples, each for as long as somebody holds the ``Example``. Copies start
    empty. A model whose weights changed needs new examples."""

    def __init__(self) -> None:
        self._known = WeakKeyDictionary[Example, Tensor]()

    def __reduce__(self) -> tuple[type["ExampleCache"], tuple[()]]:
        return ExampleCache, ()

    def vectors(self, example: Example, model: Encoder) -> Tensor:
        """``example_vectors`` of an example, computed once."""
        if example not in self._known:
            self._known[example] = example_vectors(example, model)
        return self._known[example]


def example_vectors(example: Example, model: Encoder) -> Tensor:
    """How the n masks of an example differ from what surrounds them, (n, D): the unit embedding of the mask minus that
    of the rest of its image. What all embeddings of images have in common, and those of texts have not, drops out.

    Raises ImageError; MaskError for masks that are none, empty, the whole image, or do not fit it."""
    return torch.cat(
        [
            _of_image(image, masks, f'example "{example.name}", image {number}', model)
            for number, (image, masks) in enumerate(example.masks, start=1)
        ]
    )


def _of_image(image: Any, masks: Any, shown: str, model: Encoder) -> Tensor:
    encoded = model.encode_image(image, masks=[])
    size, file_name = encoded.sizes.original, encoded.file_name
    try:
        given = read_masks(masks, size, file_name)
    except MaskError as error:
        raise MaskError(f"{shown}: {error}") from None
    if not len(given):
        raise MaskError(f"{shown} has no mask: give at least one, or leave the image out")
    if not given.any(axis=(1, 2)).all():
        raise MaskError(f"{shown}: mask {given.any(axis=(1, 2)).argmin() + 1} is empty: leave it out")
    if given.all(axis=(1, 2)).any():
        raise MaskError(f"{shown}: a mask covers the whole image: leave something else in it, to compare with")
    encoded = model.encode_image(encoded, np.concatenate([given, ~given]))
    inside, outside = F.normalize(model.given_embeddings(encoded)[0], dim=-1).chunk(2)
    return inside - outside


def with_examples(
    encoded: EncodedVocabulary, examples: Sequence[Example], model: Encoder, cache: ExampleCache
) -> EncodedVocabulary:
    """Move the text embeddings of the classes that ``examples`` show. encoded: has their names among its classes."""
    by_class = dict[str, list[Example]]()
    for example in examples:
        by_class.setdefault(comparable(example.synonyms[0]), []).append(example)
    classes = zip(encoded.vocabulary.names, encoded.text_embeddings.split(encoded.vocabulary.group_sizes), strict=True)
    embeddings, nameless = list[Tensor](), list[int]()
    for name, text in classes:
        if shown := by_class.get(comparable(name)):
            if not (named := any(example.text for example in shown)):
                start = sum(map(len, embeddings))
                nameless += range(start, start + len(text))
                text = model.encode_text(COMPETING).text_embeddings.mean(dim=0).expand_as(text)
            text = moved(text, torch.cat([cache.vectors(example, model) for example in shown]).to(text), named)
        embeddings.append(text)
    return replace(encoded, text_embeddings=torch.cat(embeddings), shown=tuple(nameless))


def moved(text: Tensor, vectors: Tensor, named: bool) -> Tensor:
    """Classifier weights (S, D) of a class: the text embeddings (S, D) of its names, or average ones where it has none
    that counts, and the vectors (n, D) of its examples, which weigh the more the more they are."""
    count = len(vectors)
    return text + (WITH_NAME * count / (count + HALF) if named else ALONE) * vectors.mean(dim=0)
