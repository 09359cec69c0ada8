"""The IoU matcher: which predicted masks resemble which ground-truth masks. Source: paper, section 3.3, equation 5.

Several ground-truth masks may be matched with the same prediction.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.training.batch import Matches


def mask_iou(predicted: Tensor, ground_truth: Tensor) -> Tensor:
    """IoU of every pair. predicted (N, h, w) bool, ground_truth (M, h, w) bool -> (N, M), 0 to 1.

    Source of the 1e-6, which keeps two empty masks at 0: official compute_mask_iou.
    """
    a, b = predicted.flatten(1).float(), ground_truth.flatten(1).float()
    with torch.autocast(predicted.device.type, enabled=False):  # counts of pixels leave the range of half precision
        both = a @ b.T
    return both / (a.sum(dim=1)[:, None] + b.sum(dim=1) - both + 1e-6)


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H, W) bool or float -> (N, *size) float, bilinear: soft at the edges."""
    if masks.shape[-2:] == size:
        return masks.float()
    if not len(masks):
        return torch.zeros(0, *size, device=masks.device)
    return F.interpolate(masks[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]


def match_by_iou(iou: Tensor, threshold: float, rng: torch.Generator) -> Matches:
    """For every ground-truth mask in turn, draw one of the predictions whose IoU with it exceeds the threshold.

    iou: (N, M). threshold: 0 to 1. rng: on the CPU; used once for each ground-truth mask that has a candidate. Source:
    official match_via_iou; paper, equation 5, keeps an IoU equal to the threshold too.
    """
    fitting = [column.nonzero()[:, 0] for column in iou.T.cpu() > threshold]
    ground_truth = [index for index, candidates in enumerate(fitting) if len(candidates)]
    predicted = [int(fitting[i][torch.randint(0, len(fitting[i]), (1,), generator=rng)]) for i in ground_truth]
    return torch.tensor(predicted, dtype=torch.int64), torch.tensor(ground_truth, dtype=torch.int64)


def sample_matches(matches: Matches, most: int, rng: torch.Generator) -> Matches:
    """At most ``most`` of the matches, without repetition. Source: official match_via_iou."""
    if len(matches[0]) <= most:
        return matches
    kept = torch.randperm(len(matches[0]), generator=rng)[:most]
    return matches[0][kept], matches[1][kept]
