"""Combine the in-vocabulary and the out-of-vocabulary classifier: the geometric ensemble, and void."""

import torch
from torch import Tensor


def geometric_ensemble(in_logits: Tensor, out_logits: Tensor, seen: Tensor, alpha: float, beta: float) -> Tensor:
    """Combine the proposal head's (in-vocabulary) and CLIP's (out-of-vocabulary) class logits into probabilities.

    in_logits, out_logits: (..., K), without void. seen: (K,) bool, classes of the training set. alpha, beta: 0 to 1,
    the weight of CLIP's classifier for seen and unseen classes. Returns (..., K) probabilities that sum to 1.
    p = softmax(log(p_in^(1 - a) p_out^a)). Computed on log-probabilities: an underflowed probability stays a large
    negative number, and the selection by ``where`` never meets 0 * inf.
    Source: FC-CLIP, section 3.3, equation 7; paper, section 3.4.
    """
    weight = torch.where(seen, alpha, beta).to(in_logits.dtype)
    in_log, out_log = in_logits.log_softmax(dim=-1), out_logits.log_softmax(dim=-1)
    return ((1 - weight) * in_log + weight * out_log).softmax(dim=-1)


def with_void(class_probs: Tensor, class_logits: Tensor) -> Tensor:
    """Append the probability of void that the proposal head predicts, and scale the classes to the remainder.

    class_probs: (..., K). class_logits: (..., K + 1), the proposal head's, void last. Returns (..., K + 1) that sum
    to 1. Source: official code, is_void_prob.
    """
    void = class_logits.softmax(dim=-1)[..., -1:]
    return torch.cat([class_probs * (1 - void), void], dim=-1)
