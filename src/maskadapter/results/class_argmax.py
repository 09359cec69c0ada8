"""The best class, and the best proposal, of every pixel, without computing all scores everywhere: an image is cut into
blocks. Where no mask changes, a block has one answer; elsewhere only masks that change in it are upsampled, and classes
are left out whose highest possible score lies below the lowest of some other class. The result is that of comparing
all of them, but for rounding where two are equal."""

import torch
from torch import Tensor

from maskadapter.results.upsampling import Upsampler

_FIRST = 8  # classes whose scores are computed first


def best_classes(masks: Upsampler, class_probs: Tensor, masks_first: bool = True) -> Tensor:
    """The class with the largest sum over proposals of class probability (N, K) times mask probability: (H, W) int32.
    masks_first: whether mask logits are upsampled before the sigmoid, or mask probabilities after it."""
    labels = torch.empty(masks.sizes.original, dtype=torch.int32, device=class_probs.device)
    of_class = class_probs.T.contiguous()
    eps = torch.finfo(of_class.dtype).eps
    slack = 1 - 4 * len(class_probs) * eps  # by what share the sums may be off
    for strip in masks.strips():
        high, low = (bound.sigmoid() for bound in strip.bounds())
        most, least = of_class @ high, of_class @ low
        possible = ~(most < least.amax(dim=0) * slack)  # so that NaN is possible too
        labels[strip.rows] = strip.fill(most.argmax(dim=0).int())
        changes = high - low > eps
        constant = of_class @ torch.where(changes, 0, (high + low) / 2)
        for block in (possible.sum(dim=0) > 1).nonzero().flatten().tolist():
            chosen, classes = changes[:, block].nonzero().flatten(), possible[:, block].nonzero().flatten()
            mask_probs = strip.logits(block, chosen).sigmoid() if masks_first else strip.probs(block, chosen)
            best = _best(of_class[:, chosen], constant[:, block, None], classes, mask_probs.flatten(1), slack)
            labels[strip.rows, strip.columns(block)] = best.view(mask_probs.shape[1:]).int()
    return labels


def _best(of_class: Tensor, constant: Tensor, classes: Tensor, mask_probs: Tensor, slack: float) -> Tensor:
    """The best of some classes at every pixel (P,): class probabilities (K, n) times mask_probs (n, P), plus a constant
    (K, 1)."""

    def scores(some: Tensor) -> Tensor:
        return torch.addmm(constant[some], of_class[some], mask_probs)

    if len(classes) > 2 * _FIRST:
        most = constant[classes] + of_class[classes] @ mask_probs.amax(dim=1, keepdim=True)
        least = scores(classes[most[:, 0].topk(_FIRST).indices]).amax(dim=0).amin()  # what some class has at least
        classes = classes[~(most[:, 0] < least * slack)]
    return classes[scores(classes).max(dim=0).indices]  # argmax looks at one number after the other


def best_proposals(masks: Upsampler, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The proposal with the highest score (N,) times mask probability at every pixel, (H, W) int32; whether the pixel
    lies in its mask (probability of 0.5 or more), (H, W) bool; and the area of every mask in pixels, (N,)."""
    size = masks.sizes.original
    winners = torch.empty(size, dtype=torch.int32, device=scores.device)
    inside = torch.empty(size, dtype=torch.bool, device=scores.device)
    areas = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
    slack = 1 - 4 * torch.finfo(scores.dtype).eps
    for strip in masks.strips():
        high, low = (bound.sigmoid() for bound in strip.bounds())
        most, least = scores[:, None] * high, scores[:, None] * low
        winner = most.argmax(dim=0)
        within, edge = low >= 0.5, (high >= 0.5) & (low < 0.5)
        winners[strip.rows] = strip.fill(winner.int())
        inside[strip.rows] = strip.fill(within.gather(0, winner[None])[0])
        areas += (within * strip.areas()).sum(dim=1)
        concerned = ~(most < least.amax(dim=0) * slack) | edge
        for block in ((concerned.sum(dim=0) > 1) | edge.any(dim=0)).nonzero().flatten().tolist():
            place, chosen = (strip.rows, strip.columns(block)), concerned[:, block].nonzero().flatten()
            mask_probs = strip.logits(block, chosen).sigmoid()
            areas[chosen] += (mask_probs >= 0.5).flatten(1).sum(dim=1) * edge[chosen, block]
            best = (scores[chosen, None, None] * mask_probs).max(dim=0).indices
            winners[place] = chosen[best].int()
            inside[place] = mask_probs.gather(0, best[None])[0] >= 0.5
    return winners, inside, areas
