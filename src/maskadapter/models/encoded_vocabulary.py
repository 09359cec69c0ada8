"""A vocabulary with its text embeddings, alone or among the names of what else an image may show."""

from dataclasses import dataclass

import torch
from torch import Tensor

from maskadapter.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True)
class EncodedVocabulary:
    """A vocabulary and its text embeddings: rows (S, D), one unit vector per synonym. Encode once for many images."""

    vocabulary: Vocabulary
    rows: Tensor

    def with_background(self, background: "EncodedVocabulary", similarity: float) -> "EncodedVocabulary":
        """These K classes, then those of the background that mean something else.

        A short list lacks the rest of the world, and every pixel would go to one of its words; the background's words
        compete for them. A background class is left out where one of its synonyms has a cosine of ``similarity`` or
        more to one of ours: "dog" must not take the pixels of "puppy". Its classes count as stuff.
        """
        closeness = (background.rows @ self.rows.T).amax(dim=1)
        groups = closeness.split(background.vocabulary.group_sizes)
        kept = [index for index, group in enumerate(groups) if group.max() < similarity]
        rows = background.rows.split(background.vocabulary.group_sizes)
        classes = (*self.vocabulary.classes, *(background.vocabulary.classes[index] for index in kept))
        is_thing = (*self.vocabulary.is_thing, *(False for _ in kept))
        return EncodedVocabulary(
            Vocabulary(classes, is_thing), torch.cat([self.rows, *(rows[index] for index in kept)])
        )

    def confusable_similarity(self, share: float) -> float:
        """The cosine that only the fraction 1 - ``share`` of the pairs of different words exceeds; 1 for one word.

        Text encoders differ in how close unrelated words lie (0.2 in one, 0.8 in another), so a fixed cosine would not
        carry over from one to the next.
        """
        cosines = self.rows @ self.rows.T
        different = cosines[~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)]
        return float(different.float().quantile(share)) if len(different) else 1.0
