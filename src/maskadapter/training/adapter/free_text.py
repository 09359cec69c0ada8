"""The classes of a batch whose samples bring their own: joined into one vocabulary, and encoded."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from maskadapter.data import Sample
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.vocabulary import Vocabulary, join_vocabularies

_MOST_NAMES = 50_000  # whose text embeddings are kept: 150 MB of 768 numbers each

_ANY = Vocabulary((("object",),), (True,))  # where no sample has a class: there has to be one, and no mask counts


class FreeTextClasses:
    """Joins the classes of the samples of a batch and encodes them, each name once while it is among the newest."""

    def __init__(self, segmenter: OpenVocabularySegmenter) -> None:
        self._clip = segmenter.clip
        self._embeddings: dict[str, Tensor] = {}

    def of(self, samples: Sequence[Sample]) -> tuple[EncodedVocabulary, list[Sample]]:
        """Return the classes of all samples, and the samples with classes that index them."""
        vocabulary, joined = join_classes(samples)
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


def join_classes(samples: Sequence[Sample]) -> tuple[Vocabulary, list[Sample]]:
    """Join the vocabularies of samples by ``join_vocabularies``; return also the samples with classes that index it."""
    own = [sample.vocabulary for sample in samples if sample.vocabulary is not None]
    vocabulary, indices = join_vocabularies(own) if own else (_ANY, [])
    left = iter(indices)
    joined = []
    for sample in samples:
        numbers = np.array(next(left) if sample.vocabulary is not None else [], dtype=np.int64)
        target = replace(sample.target, classes=numbers[sample.target.classes])
        joined.append(replace(sample, target=target, vocabulary=vocabulary))
    return vocabulary, joined
