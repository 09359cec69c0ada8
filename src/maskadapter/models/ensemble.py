"""The geometric ensemble of the in-vocabulary and the out-of-vocabulary classifier, and void."""

import torch
from torch import Tensor


def geometric_ensemble(in_logits: Tensor, out_logits: Tensor, seen: Tensor, alpha: float, beta: float) -> Tensor:
    """Combine the proposal head's (in-vocabulary) and CLIP's (out-of-vocabulary) class logits into probabilities.

    in_logits, out_logits: (..., K), without void. seen: (K,) bool, classes of the training set. alpha, beta: 0 to 1,
    the weight of CLIP's classifier for seen and unseen classes. Returns (..., K) probabilities that sum to 1,
    softmax(log(p_in^(1 - a) p_out^a)), computed on log-probabilities, so that none underflows to 0.
    Source: FC-CLIP, section 3.3, equation 7; paper, section 3.4."""
    return ensemble_logits(in_logits, out_logits, seen, alpha, beta).softmax(dim=-1)


def ensemble_logits(in_logits: Tensor, out_logits: Tensor, seen: Tensor, alpha: float, beta: float) -> Tensor:
    """Compute the logits (..., K) of ``geometric_ensemble``'s probabilities; arguments as there."""
    weight = torch.where(seen, in_logits.new_tensor(alpha), beta)
    in_log, out_log = in_logits.log_softmax(dim=-1), out_logits.log_softmax(dim=-1)
    return (1 - weight) * in_log + weight * out_log


def with_void(class_probs: Tensor, class_logits: Tensor) -> Tensor:
    """Append the probability of void in the proposal head's logits (..., K + 1), void last, to class_probs (..., K),
    and scale these to the remainder: (..., K + 1) that sum to 1. Source: official code, is_void_prob."""
    void = class_logits.softmax(dim=-1)[..., -1:]
    return torch.cat([class_probs * (1 - void), void], dim=-1)
