"""The classes of a batch whose samples bring their own: joined into one vocabulary, and encoded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from maskadapter.data import Sample
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.vocabulary import Vocabulary, join_vocabularies

if TYPE_CHECKING:
    from accelerate import Accelerator

_MOST_NAMES = 50_000  # whose text embeddings are kept: 150 MB of 768 numbers each

_ANY = Vocabulary((("object",),), (True,))  # where no sample has a class: there has to be one, and no mask counts


class FreeTextClasses:
    """Joins the classes of the samples of a batch and encodes them, each name once while it is among the newest."""

    def __init__(self, segmenter: OpenVocabularySegmenter, accelerator: "Accelerator") -> None:
        self._clip, self._accelerator = segmenter.clip, accelerator
        self._embeddings: dict[str, Tensor] = {}

    def of(self, samples: Sequence[Sample]) -> tuple[EncodedVocabulary, list[Sample]]:
        """Return the classes of a batch and this process's samples of it with classes that index them.

        All processes have to call it in the same step, with as many samples: then the classes are those of a single
        process.
        """
        from accelerate.utils import gather_object

        every = gather_object([sample.vocabulary for sample in samples])
        first = self._accelerator.process_index * len(samples)
        vocabulary, joined = join_classes(samples, every[:first], every[first + len(samples) :])
        embeddings = torch.stack([self._embedding(name) for name in vocabulary.synonyms])
        return EncodedVocabulary(vocabulary, embeddings.to(self._clip.logit_scale)), joined

    @torch.no_grad()
    def _embedding(self, name: str) -> Tensor:
        # Each name alone: among others it would be rounded differently, and a resumed run would not be the same.
        found = self._embeddings.pop(name, None)
        self._embeddings[name] = self._clip.encode_text([name])[0].float().cpu() if found is None else found
        if len(self._embeddings) > _MOST_NAMES:
            del self._embeddings[next(iter(self._embeddings))]
        return self._embeddings[name]


def join_classes(
    samples: Sequence[Sample], before: Sequence[Vocabulary | None] = (), after: Sequence[Vocabulary | None] = ()
) -> tuple[Vocabulary, list[Sample]]:
    """Join the vocabularies of samples by ``join_vocabularies``; return also the samples with classes that index it.

    before, after: vocabularies of the samples of other processes. None is that of a sample without objects.
    """
    every = [*before, *(sample.vocabulary for sample in samples), *after]
    given = [vocabulary for vocabulary in every if vocabulary is not None]
    vocabulary, indices = join_vocabularies(given) if given else (_ANY, [])
    left = iter(indices)
    places = [[] if own is None else next(left) for own in every][len(before) :][: len(samples)]
    joined = []
    for sample, own in zip(samples, places, strict=True):
        target = replace(sample.target, classes=np.array(own, dtype=np.int64)[sample.target.classes])
        joined.append(replace(sample, target=target, vocabulary=vocabulary))
    return vocabulary, joined
