"""Masks compared at points, and the Hungarian matcher: the cheapest assignment of predictions to ground-truth masks.

The adapter's mixed stage may use it too (paper, table 5). Source: Mask2Former, sections 3 and 3.3.2; DETR, section 3.1;
PointRend, section 3.1. Points are (x, y) in 0 to 1, (0, 0) the upper left corner of the image. They are drawn on the
CPU, wherever the masks are: the same seed gives the same points everywhere.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from maskadapter.training.batch import MaskTargets, Matches

NUM_POINTS = 12_544
"""A grid of 112 x 112. Source: FC-CLIP's configuration, TRAIN_NUM_POINTS."""


def sample_at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Values of maps (N, h, w) at points, bilinear, (N, P); beyond the outermost centers they fade to 0.

    points: (P, 2), the same for all maps, or (N, P, 2), each map its own.
    """
    shared = points.ndim == 2
    stacked, grid = (maps[None], points[None, :, None]) if shared else (maps[:, None], points[:, :, None])
    values = F.grid_sample(stacked, 2 * grid.to(maps) - 1, mode="bilinear", align_corners=False)
    return values[0, :, :, 0] if shared else values[:, 0, :, 0]


def uniform_points(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Points drawn uniformly over the image, (*shape, 2)."""
    return torch.rand(*shape, 2, generator=rng)


@torch.no_grad()
def uncertain_points(
    mask_logits: Tensor, num_points: int, rng: torch.Generator, oversample: float = 3.0, importance: float = 0.75
) -> Tensor:
    """Points for each mask: the ``importance`` part near its outline, the rest anywhere.

    mask_logits: (N, h, w). oversample: at least 1; of so many times ``num_points`` those with logits nearest to 0 are
    kept, close to the image's border too, as in the official code. importance: 0 to 1. Returns (N, num_points, 2).
    """
    count, chosen = len(mask_logits), int(importance * num_points)
    drawn = uniform_points((count, int(oversample * num_points)), rng).to(mask_logits.device)
    uncertain = sample_at_points(mask_logits, drawn).abs().topk(chosen, dim=1, largest=False).indices
    nearest = drawn.gather(1, uncertain[:, :, None].expand(-1, -1, 2))
    anywhere = uniform_points((count, num_points - chosen), rng).to(mask_logits.device)
    return torch.cat([nearest, anywhere], dim=1)


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

    Source: Mask2Former, official HungarianMatcher: -p and not -log p; the 1 in Dice makes two empty masks alike.
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
