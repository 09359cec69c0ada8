"""Classify embeddings by text: cosine similarity with text embeddings, the best synonym of each class, void last."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# CLIP's largest scale of a cosine. Source: official code, get_classification_logits; Radford et al. 2021, 2.5
MAX_LOGIT_SCALE = 100.0


@dataclass(frozen=True)
class TextClassifier:
    """Text embeddings as a linear classifier.

    weights: (S + 1, D) or, when they depend on the image, (B, S + 1, D): a text embedding per synonym, then void's.
    group_sizes: number of synonyms of each of the K classes; they sum to S.
    """

    weights: Tensor
    group_sizes: Sequence[int]

    def __post_init__(self) -> None:
        if self.weights.shape[-2] != sum(self.group_sizes) + 1:
            raise ValueError(f"{self.weights.shape[-2]} text embeddings for {sum(self.group_sizes)} synonyms and void")

    def logits(self, embeddings: Tensor, logit_scale: Tensor) -> Tensor:
        """Class logits (B, N, K + 1), void last: scale x cosine, the maximum over the synonyms of a class.

        embeddings: (B, N, D), any length; they are L2-normalized here. The weights are not: MAFT+'s come out of a
        LayerNorm and are not unit vectors. logit_scale: scalar, the logarithm of the scale.
        Source: FC-CLIP 3.3; official get_classification_logits.
        """
        scale = logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)
        similarity = scale * F.normalize(embeddings, dim=-1) @ self.weights.transpose(-1, -2)
        count = len(self.group_sizes) + 1
        sizes = torch.tensor([*self.group_sizes, 1], device=similarity.device)
        class_of = torch.repeat_interleave(sizes, output_size=similarity.shape[-1])  # numbers of the classes
        best = similarity.new_full((*similarity.shape[:-1], count), -torch.inf)
        return best.scatter_reduce(-1, class_of.expand_as(similarity), similarity, "amax")
