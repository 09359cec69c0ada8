"""The Hungarian matcher: the cheapest one-to-one assignment of predictions to ground-truth masks.

The adapter's mixed stage may use it too (paper, table 5). Source: Mask2Former, section 3; DETR, section 3.1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from maskadapter.training.batch import MaskTargets, Matches
from maskadapter.training.generator.point_sampling import NUM_POINTS, sample_at_points, uniform_points


@dataclass(frozen=True)
class MatchingCosts:
    """Weights of the costs of an assignment. num_points: at how many points masks are compared.

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
    rng: torch.Generator,
    costs: MatchingCosts = MatchingCosts(),
) -> Matches:
    """The cheapest assignment for one image, every prediction and every ground-truth mask at most once.

    mask_logits: (N, h, w). class_logits: (N, K + 1), void last; None lets masks alone decide. targets: M, at any
    resolution of the same padded input. rng: on the CPU. Returns min(N, M) matches, in the order of the ground truth.
    """
    with torch.autocast(mask_logits.device.type, enabled=False):  # sums over all points leave the range of float16
        cost = matching_cost(mask_logits, class_logits, targets, rng, costs)
    # A diverged network must fail in its loss, where the loop looks for it, and not in here.
    matched, predicted = linear_sum_assignment(torch.nan_to_num(cost, nan=0.0).T.cpu().numpy())
    return torch.from_numpy(predicted), torch.from_numpy(matched)


def matching_cost(
    mask_logits: Tensor, class_logits: Tensor | None, targets: MaskTargets, rng: torch.Generator, costs: MatchingCosts
) -> Tensor:
    """Cost of assigning each prediction to each ground-truth mask, (N, M). Arguments as in ``match_by_cost``.

    Source: Mask2Former, official HungarianMatcher. The class term is -p and not -log p there, as in DETR; the 1 in the
    Dice coefficient makes two empty masks alike.
    """
    points = uniform_points((costs.num_points,), rng)
    predicted = sample_at_points(mask_logits.float(), points)
    ground_truth = sample_at_points(targets.masks.to(predicted), points)
    # Of every pair: the mean binary cross-entropy, and 1 - the Dice coefficient.
    positive, negative = F.softplus(-predicted) @ ground_truth.T, F.softplus(predicted) @ (1 - ground_truth).T
    mask, probs = (positive + negative) / max(1, points.shape[0]), predicted.sigmoid()
    dice = 1 - (2 * probs @ ground_truth.T + 1) / (probs.sum(dim=1)[:, None] + ground_truth.sum(dim=1) + 1)
    cost = costs.mask * mask + costs.dice * dice
    if class_logits is not None:
        cost = cost - costs.classification * class_logits.float().softmax(dim=-1)[:, targets.classes]
    return cost
