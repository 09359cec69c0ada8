"""The adapter's two losses: classification and consistency. Source: paper, section 3.3, equations 6 to 8."""

import torch
import torch.nn.functional as F
from torch import Tensor

NO_CLASS = -1
"""The label of a slot that holds no mask."""


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, summed over the slots that hold a mask.

    logits: (B, N, K + 1), void last: it competes and is never right. labels: (B, N), 0 to K - 1 or NO_CLASS.
    Returns a scalar, 0 where no slot holds a mask. A sum and not a mean, because the masks that it is divided by may be
    counted over several processes. Source: paper, equation 7; official loss_ce.
    """
    return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=NO_CLASS, reduction="sum")


def consistency_loss(predicted: Tensor, ground_truth: Tensor, counted: Tensor) -> Tensor:
    """1 - cosine of the embeddings of a predicted mask and of its ground-truth mask, summed over the pairs.

    predicted, ground_truth: (B, P, D), any length. counted: (B, P) bool. Returns a scalar, 0 to 2 for each pair.
    Source: paper, equation 6; official loss_cosine.
    """
    distance = 1 - F.cosine_similarity(predicted.float(), ground_truth.float(), dim=-1)
    return torch.where(counted, distance, 0 * distance).sum()
