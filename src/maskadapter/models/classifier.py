"""Text embeddings of a vocabulary, and the classifier made of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.errors import MaskAdapterError
from maskadapter.system.warn_once import warn_once
from maskadapter.vocabulary import Vocabulary

# CLIP's largest scale of a cosine. Source: official code, get_classification_logits; Radford et al. 2021, 2.5
MAX_LOGIT_SCALE = 100.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodedVocabulary:
    """A vocabulary and its text embeddings (S, D), one unit vector per synonym, encoded once for many images.
    background: how many classes, the last, only compete: what was learned about their names is not used.
    shown: the numbers of the synonyms that stand for a class which examples alone show, and no name."""

    vocabulary: Vocabulary
    text_embeddings: Tensor
    background: int = 0
    shown: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The S synonyms, empty for those of the background."""
        own = len(self.vocabulary) - self.background
        return tuple(
            name if place < own else "" for place, names in enumerate(self.vocabulary.classes) for name in names
        )

    def with_background(self, background: "EncodedVocabulary", similarity: float) -> "EncodedVocabulary":
        """Append the background's classes as stuff, which compete for pixels, but for those of which a synonym has a
        cosine of ``similarity`` or more with one of ours: "dog" must not win the pixels of "puppy". Of a class that
        examples alone show, the nearest is left out: it is what the background calls the same thing."""
        cosines = (background.text_embeddings @ self.text_embeddings.T).float().cpu().numpy()
        closest, sizes, classes = cosines.max(axis=1), background.vocabulary.group_sizes, background.vocabulary.classes
        closest[cosines[:, list(self.shown)].argmax(axis=0)] = np.inf
        kept = np.maximum.reduceat(closest, np.cumsum([0, *sizes[:-1]])) < similarity
        left = [names[0] for names, stays in zip(classes, kept, strict=True) if not stays]
        if left and background.vocabulary.name is None:  # somebody chose these
            why = "they mean nearly the same as one of the classes"
            warn_once(_log, f"left out of the background, because {why}: {', '.join(left)}")
        count, embeddings = int(kept.sum()), background.text_embeddings[torch.from_numpy(np.repeat(kept, sizes))]
        vocabulary = Vocabulary(
            (*self.vocabulary.classes, *compress(classes, kept)), (*self.vocabulary.is_thing, *[False] * count)
        )
        return EncodedVocabulary(vocabulary, torch.cat([self.text_embeddings, embeddings]), count)

    def confusable_similarity(self, share: float) -> float:
        """The cosine that only 1 - ``share`` of the pairs of different synonyms exceed; 1 for one synonym. No fixed
        cosine fits all text encoders: unrelated words have 0.2 in one and 0.8 in another."""
        cosines = (self.text_embeddings @ self.text_embeddings.T).float().cpu().numpy().astype(float)
        different = cosines[~np.eye(len(cosines), dtype=bool)]
        return float(np.quantile(different, share)) if len(different) else 1.0


@dataclass(frozen=True)
class TextClassifier:
    """Text embeddings as a linear classifier: cosine similarity, the best synonym of each class, void last."""

    weights: Tensor  # (S + 1, D) or, when they depend on the image, (B, S + 1, D): one per synonym, then void's
    group_sizes: Sequence[int]  # number of synonyms of each of the K classes; they sum to S
    names: Sequence[str] = ()  # the S synonyms
    bias: Tensor | None = None  # (S + 1,), added to the cosines; of classes that were learned, see ``OwnClasses``

    def __post_init__(self) -> None:
        if self.weights.shape[-2] != sum(self.group_sizes) + 1:
            raise ValueError(f"{self.weights.shape[-2]} text embeddings for {sum(self.group_sizes)} synonyms and void")

    def logits(self, embeddings: Tensor, logit_scale: Tensor) -> Tensor:
        """Class logits (B, N, K + 1), void last: scale x (cosine + bias), the maximum over the synonyms of a class.

        embeddings: (B, N, D), L2-normalized here; the weights are not: MAFT+'s come out of a LayerNorm. logit_scale:
        scalar, the logarithm of the scale. Source: FC-CLIP 3.3; official get_classification_logits."""
        scale = logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)
        similarity = scale * F.normalize(embeddings, dim=-1) @ self.weights.transpose(-1, -2)
        similarity = similarity if self.bias is None else similarity + scale * self.bias
        count = len(self.group_sizes) + 1
        sizes = torch.tensor([*self.group_sizes, 1], device=similarity.device)
        class_of = torch.repeat_interleave(sizes, output_size=similarity.shape[-1])  # numbers of the classes
        best = similarity.new_full((*similarity.shape[:-1], count), -torch.inf)
        return best.scatter_reduce(-1, class_of.expand_as(similarity), similarity, "amax")


def refuse_nan(numbers: Tensor) -> None:
    """Raise MaskAdapterError where logits or probabilities are NaN or infinite."""
    if not numbers.isfinite().all():
        reason = "its weights are broken, or too large for their type; run maskadapter models check on them"
        raise MaskAdapterError(f"the model computes no numbers (NaN or infinity): {reason}")
