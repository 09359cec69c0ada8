"""Masks from outside as the networks take them: at stride 4 of their input."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.resampling import Frame
from maskadapter.structures import Proposals

_INSIDE = 10.0


def at_stride_4(masks: Tensor, frame: Frame, values: int = 1 << 26) -> Tensor:
    """(N, H, W) bool at the picture's size -> (N, h, w) logits at stride 4 of the padded input.

    A cell is inside where the mask covers more than half of what it covers of its best cell: ordinary masks keep their
    outline, and a mask smaller than a cell keeps the cell it lies in. The logits run from -10 to 10 with the share that
    is covered, so that masks brought back to the picture's size end where they did. values: numbers in memory at a
    time.
    """
    bottom, right = frame.padded[0] - frame.resized[0], frame.padded[1] - frame.resized[1]
    parts = [torch.zeros(0, frame.padded[0] // 4, frame.padded[1] // 4)]
    for part in masks.split(max(1, values // (masks.shape[1] * masks.shape[2]))):
        covered = F.interpolate(part[:, None].float(), frame.resized, mode="bilinear", antialias=True)
        cells = F.avg_pool2d(F.pad(covered, (0, right, 0, bottom)), 4)[:, 0]
        best = cells.amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(cells.dtype).tiny)
        parts.append((2 * cells / best - 1) * _INSIDE)
    return torch.cat(parts)


def as_proposals(mask_logits: Sequence[Tensor], void_probs: Sequence[Tensor] | None = None) -> Proposals:
    """Of each picture of a batch: (N_i, h, w) logits and, where the generator tells it, (N_i,) the probability that a
    mask is of nothing. Pictures with fewer masks than others are filled up with empty ones."""
    count = max(len(one) for one in mask_logits)
    filled = [F.pad(one, (0, 0, 0, 0, 0, count - len(one)), value=-_INSIDE) for one in mask_logits]
    if void_probs is None:
        return Proposals(torch.stack(filled))
    return Proposals(
        torch.stack(filled),
        void_probs=torch.stack([F.pad(one, (0, count - len(one)), value=1.0) for one in void_probs]),
    )
