"""Which predicted masks stand for which true ones. Source: paper, section 3.3, equation 5.

The mixed stage trains on predicted masks too, and a prediction is worth that only where it is a fair copy of a true
mask. The IoU matcher keeps those and no others; several ground-truth masks may meet in one prediction.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Matches = tuple[Tensor, Tensor]
"""(m,) indices of predicted masks and, one for one, of the ground-truth masks that they stand for."""


def mask_iou(predicted: Tensor, true: Tensor) -> Tensor:
    """predicted (N, h, w) bool, true (M, h, w) bool -> (N, M), 0 to 1.

    Source of the 1e-6, which keeps two empty masks at 0: official compute_mask_iou.
    """
    a, b = predicted.flatten(1).float(), true.flatten(1).float()
    with torch.autocast(predicted.device.type, enabled=False):  # counts of pixels leave the range of half precision
        both = a @ b.T
    return both / (a.sum(dim=1)[:, None] + b.sum(dim=1) - both + 1e-6)


def at_size(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H, W) bool or float -> (N, *size) float, bilinear: soft at the edges."""
    if masks.shape[-2:] == size:
        return masks.float()
    if not len(masks):
        return torch.zeros(0, *size, device=masks.device)
    return F.interpolate(masks[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]


def match_by_iou(iou: Tensor, threshold: float, generator: torch.Generator) -> Matches:
    """For every ground-truth mask in turn, one prediction drawn from those whose IoU with it exceeds the threshold.

    iou: (N, M). threshold: 0 to 1. generator: on the CPU; drawn from once for each ground-truth mask that has a candidate.
    Source: paper, equation 5, which keeps an IoU equal to the threshold; the official match_via_iou does not, and is
    followed.
    """
    predicted, true = [], []
    for index, column in enumerate(iou.T.cpu()):
        candidates = (column > threshold).nonzero()[:, 0]
        if len(candidates):
            drawn = torch.randint(0, len(candidates), (1,), generator=generator)
            predicted.append(int(candidates[drawn]))
            true.append(index)
    return torch.tensor(predicted, dtype=torch.int64), torch.tensor(true, dtype=torch.int64)


def at_most(matches: Matches, most: int, generator: torch.Generator) -> Matches:
    """``most`` of the matches, drawn without repetition where there are more. Source: official match_via_iou."""
    predicted, true = matches
    if len(predicted) <= most:
        return matches
    kept = torch.randperm(len(predicted), generator=generator)[:most]
    return predicted[kept], true[kept]
