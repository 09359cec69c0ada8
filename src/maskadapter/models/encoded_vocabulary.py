"""A vocabulary with its text embeddings, alone or together with a background vocabulary."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskadapter.vocabulary import Vocabulary


@dataclass(frozen=True)
class EncodedVocabulary:
    """A vocabulary and its text embeddings (S, D), one unit vector per synonym, encoded once for many images."""

    vocabulary: Vocabulary
    text_embeddings: Tensor

    def with_background(self, background: "EncodedVocabulary", similarity: float) -> "EncodedVocabulary":
        """Append the background's classes as stuff: they stand for the rest of the world and compete for pixels. Left
        out are those of which a synonym has a cosine of ``similarity`` or more with one of ours: "dog" must not win the
        pixels of "puppy"."""
        closest = (background.text_embeddings @ self.text_embeddings.T).amax(dim=1).cpu()
        sizes, classes = background.vocabulary.group_sizes, background.vocabulary.classes
        groups = zip(classes, background.text_embeddings.split(sizes), closest.split(sizes), strict=True)
        kept = [(names, embeddings) for names, embeddings, cosines in groups if float(cosines.max()) < similarity]
        classes = (*self.vocabulary.classes, *(names for names, _ in kept))
        vocabulary = Vocabulary(classes, (*self.vocabulary.is_thing, *(False for _ in kept)))
        return EncodedVocabulary(vocabulary, torch.cat([self.text_embeddings, *(one for _, one in kept)]))

    def confusable_similarity(self, share: float) -> float:
        """The cosine that only 1 - ``share`` of the pairs of different synonyms exceed; 1 for one synonym. No fixed
        cosine fits all text encoders: unrelated words have 0.2 in one and 0.8 in another."""
        cosines = (self.text_embeddings @ self.text_embeddings.T).float().cpu().numpy().astype(float)
        different = cosines[~np.eye(len(cosines), dtype=bool)]
        return float(np.quantile(different, share)) if len(different) else 1.0
