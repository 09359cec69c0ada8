"""One prediction for every ground-truth mask, so that the whole is cheapest. Source: Mask2Former, section 3; DETR, 3.1.

The generator's training is built on it. The adapter's second stage may use it in place of the IoU matcher: the paper
compares the two in table 5.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from maskadapter.training.adapter.iou_matching import Matches
from maskadapter.training.generator.point_sampling import NUM_POINTS, read_at, uniform_points
from maskadapter.training.mask_targets import MaskTargets


@dataclass(frozen=True)
class MatchingCosts:
    """What makes a prediction a bad stand-in for a ground-truth mask. num_points: where masks are compared.

    Source: FC-CLIP's configuration, CLASS_WEIGHT, MASK_WEIGHT, DICE_WEIGHT, TRAIN_NUM_POINTS.
    """

    classification: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    num_points: int = NUM_POINTS


@torch.no_grad()
def match_by_cost(
    mask_logits: Tensor,
    class_logits: Tensor | None,
    targets: MaskTargets,
    generator: torch.Generator,
    costs: MatchingCosts = MatchingCosts(),
) -> Matches:
    """The cheapest assignment for one image, every prediction and every ground-truth mask at most once.

    mask_logits: (N, h, w). class_logits: (N, K + 1), void last, or None: then masks alone decide. targets: M true
    masks at any resolution of the same frame. generator: on the CPU, for the points; they are shared by all masks.
    Returns min(N, M) matches, in the order of the ground-truth masks.
    """
    with torch.autocast(mask_logits.device.type, enabled=False):  # sums over all points leave the range of float16
        cost = matching_cost(mask_logits, class_logits, targets, generator, costs)
    # A diverged network must fail in its loss, where the loop looks for it, and not in here.
    predicted, true = linear_sum_assignment(torch.nan_to_num(cost, nan=0.0).cpu().numpy())
    order = true.argsort()
    return torch.from_numpy(predicted[order]), torch.from_numpy(true[order])


def matching_cost(
    mask_logits: Tensor,
    class_logits: Tensor | None,
    targets: MaskTargets,
    generator: torch.Generator,
    costs: MatchingCosts,
) -> Tensor:
    """(N, M): what it costs that a prediction stands for a ground-truth mask. Arguments as in ``match_by_cost``.

    Source: Mask2Former, official HungarianMatcher. The class term is -p and not -log p there, as in DETR.
    """
    points = uniform_points((costs.num_points,), generator)
    predicted = read_at(mask_logits.float(), points)
    true = read_at(targets.masks.to(predicted), points)
    cost = costs.mask * mask_cost(predicted, true) + costs.dice * dice_cost(predicted, true)
    if class_logits is not None:
        cost = cost - costs.classification * class_logits.float().softmax(dim=-1)[:, targets.classes]
    return cost


def mask_cost(logits: Tensor, true: Tensor) -> Tensor:
    """Mean binary cross-entropy of every pair. logits (N, P), true (M, P) 0 to 1 -> (N, M)."""
    return (F.softplus(-logits) @ true.T + F.softplus(logits) @ (1 - true).T) / max(1, logits.shape[1])


def dice_cost(logits: Tensor, true: Tensor) -> Tensor:
    """1 - the Dice coefficient of every pair. logits (N, P), true (M, P) 0 to 1 -> (N, M), 0 to 1.

    Source of the 1, which makes two empty masks alike: official batch_dice_loss.
    """
    probs = logits.sigmoid()
    return 1 - (2 * probs @ true.T + 1) / (probs.sum(dim=1)[:, None] + true.sum(dim=1) + 1)
