"""Classify embeddings by text, and combine the in-vocabulary and the out-of-vocabulary classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# CLIP's largest scale of a cosine. Source: official code, get_classification_logits; Radford et al. 2021, 2.5
MAX_LOGIT_SCALE = 100.0


@dataclass(frozen=True)
class TextClassifier:
    """Text embeddings as a linear classifier: cosine similarity, the best synonym of each class, void last."""

    weights: Tensor  # (S + 1, D) or, when they depend on the image, (B, S + 1, D): one per synonym, then void's
    group_sizes: Sequence[int]  # number of synonyms of each of the K classes; they sum to S

    def __post_init__(self) -> None:
        if self.weights.shape[-2] != sum(self.group_sizes) + 1:
            raise ValueError(f"{self.weights.shape[-2]} text embeddings for {sum(self.group_sizes)} synonyms and void")

    def logits(self, embeddings: Tensor, logit_scale: Tensor) -> Tensor:
        """Class logits (B, N, K + 1), void last: scale x cosine, the maximum over the synonyms of a class.

        embeddings: (B, N, D), any length; they are L2-normalized here. The weights are not: MAFT+'s come out of a
        LayerNorm and are not unit vectors. logit_scale: scalar, the logarithm of the scale. Source: FC-CLIP 3.3;
        official get_classification_logits."""
        scale = logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)
        similarity = scale * F.normalize(embeddings, dim=-1) @ self.weights.transpose(-1, -2)
        count = len(self.group_sizes) + 1
        sizes = torch.tensor([*self.group_sizes, 1], device=similarity.device)
        class_of = torch.repeat_interleave(sizes, output_size=similarity.shape[-1])  # numbers of the classes
        best = similarity.new_full((*similarity.shape[:-1], count), -torch.inf)
        return best.scatter_reduce(-1, class_of.expand_as(similarity), similarity, "amax")


def geometric_ensemble(in_logits: Tensor, out_logits: Tensor, seen: Tensor, alpha: float, beta: float) -> Tensor:
    """Combine the proposal head's (in-vocabulary) and CLIP's (out-of-vocabulary) class logits into probabilities.

    in_logits, out_logits: (..., K), without void. seen: (K,) bool, classes of the training set. alpha, beta: 0 to 1,
    the weight of CLIP's classifier for seen and unseen classes. Returns (..., K) probabilities that sum to 1. p =
    softmax(log(p_in^(1 - a) p_out^a)). Computed on log-probabilities: an underflowed probability stays a large negative
    number, and the selection by ``where`` never meets 0 * inf. Source: FC-CLIP, section 3.3, equation 7; paper, section
    3.4."""
    weight = torch.where(seen, alpha, beta).to(in_logits.dtype)
    in_log, out_log = in_logits.log_softmax(dim=-1), out_logits.log_softmax(dim=-1)
    return ((1 - weight) * in_log + weight * out_log).softmax(dim=-1)


def with_void(class_probs: Tensor, class_logits: Tensor) -> Tensor:
    """Append the probability of void that the proposal head predicts, and scale the classes to the remainder.
    class_probs: (..., K). class_logits: (..., K + 1), the proposal head's, void last. Returns (..., K + 1) that sum to
    1. Source: official code, is_void_prob."""
    void = class_logits.softmax(dim=-1)[..., -1:]
    return torch.cat([class_probs * (1 - void), void], dim=-1)
