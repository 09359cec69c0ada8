"""A vocabulary with its text embeddings, alone or together with a background vocabulary."""

from dataclasses import dataclass

import torch
from torch import Tensor

from maskadapter.vocabulary import Vocabulary


@dataclass(frozen=True)
class EncodedVocabulary:
    """A vocabulary and its text embeddings, encoded once for many images.

    text_embeddings: (S, D), one unit vector per synonym.
    """

    vocabulary: Vocabulary
    text_embeddings: Tensor

    def with_background(self, background: "EncodedVocabulary", similarity: float) -> "EncodedVocabulary":
        """Append the background's classes, but for those that mean nearly the same as one of ours.

        A short list of classes lacks the rest of the world, and every pixel would go to one of them; the background
        competes for pixels. A background class is left out where one of its synonyms has a cosine of ``similarity`` or
        more with one of ours: "dog" must not win the pixels of "puppy". Background classes count as stuff.
        """
        closest = (background.text_embeddings @ self.text_embeddings.T).amax(dim=1).tolist()
        kept, start = [], 0
        for index, count in enumerate(background.vocabulary.group_sizes):
            if max(closest[start : start + count]) < similarity:
                kept.append(index)
            start += count
        embeddings = background.text_embeddings.split(background.vocabulary.group_sizes)
        classes = (*self.vocabulary.classes, *(background.vocabulary.classes[index] for index in kept))
        is_thing = (*self.vocabulary.is_thing, *(False for _ in kept))
        return EncodedVocabulary(
            Vocabulary(classes, is_thing), torch.cat([self.text_embeddings, *(embeddings[index] for index in kept)])
        )

    def confusable_similarity(self, share: float) -> float:
        """The cosine that only 1 - ``share`` of the pairs of different synonyms exceed; 1 for one synonym.

        Text encoders differ in how close unrelated words lie (0.2 in one, 0.8 in another), so a fixed cosine would not
        carry over from one to the next.
        """
        cosines = self.text_embeddings @ self.text_embeddings.T
        different = cosines[~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)]
        if not len(different):
            return 1.0
        # The quantile, interpolated between its two neighbors: without sorting all pairs.
        place = share * (len(different) - 1)
        upper = different.float().topk(len(different) - int(place)).values[-2:].flip(0)
        return float(torch.lerp(upper[0], upper[-1], place - int(place)))
