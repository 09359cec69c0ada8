"""Masks from outside as the networks take them: at stride 4 of their input."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals

INSIDE = 10.0
"""Logit of a cell that is wholly inside a mask that was drawn and not predicted; outside its negative."""

_SMALLEST_REST = 0.001  # share of the image


def at_stride_4(masks: Iterable[Tensor], sizes: ImageSizes) -> Tensor:
    """N masks (H, W) bool at the image's size -> (N, h, w) logits at stride 4 of the padded input.

    A cell is inside where the mask covers more than half of what it covers of its best cell: ordinary masks keep their
    outline, and a mask smaller than a cell keeps the cell it lies in. The logits run from -10 to 10 with the share that
    is covered, so that masks brought back to the image's size end where they did.
    """
    sides = zip(sizes.original, sizes.resized, sizes.padded, strict=True)
    rows, columns = (_coverage(*side) for side in sides)
    cells = [_covered(one, rows, columns) for one in masks]
    return torch.stack(cells) if cells else torch.zeros(0, len(rows), len(columns))


def _coverage(image: int, resized: int, padded: int) -> Tensor:
    """(padded / 4, image): what each pixel of a side gives to each cell, when the image is resized and padded."""
    cells = []
    for some in torch.arange(image).split(512):  # all pixels of a large image would be a large matrix
        pixels = (torch.arange(image)[:, None] == some).float()[None, None]
        seen = F.interpolate(pixels, (resized, len(some)), mode="bilinear", antialias=True)
        cells.append(F.avg_pool2d(F.pad(seen, (0, 0, 0, padded - resized)), (4, 1))[0, 0])
    return torch.cat(cells, dim=1)


def _covered(mask: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(H, W) bool -> (h, w) logits, of the share of each cell that it covers; only its box is looked at."""
    inside = [mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()]
    if not len(inside[0]):
        return torch.full((len(rows), len(columns)), -INSIDE)
    y, x = (slice(int(places[0]), int(places[-1]) + 1) for places in inside)
    cells = rows[:, y] @ mask[y, x].float() @ columns[:, x].T
    return (2 * cells / cells.amax().clamp(min=torch.finfo(cells.dtype).tiny) - 1) * INSIDE


def rest_of(mask_logits: Tensor, sizes: ImageSizes) -> Tensor:
    """What no mask holds, as masks of its own: (N, h, w) at stride 4 -> (n, h, w), the largest first.

    One for each connected piece of the image of a thousandth of it or more; none where there are no masks at all.
    """
    height, width = (-(-side // 4) for side in sizes.resized)
    held = (mask_logits > 0).any(dim=0).cpu().numpy()
    free = np.zeros(held.shape, dtype=bool)
    free[:height, :width] = ~held[:height, :width]
    pieces, count = ndimage.label(free)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    enough = np.flatnonzero(areas >= _SMALLEST_REST * height * width)
    chosen = enough[np.argsort(-areas[enough], kind="stable")] + 1 if len(mask_logits) else enough[:0]
    inside = torch.from_numpy(pieces == chosen[:, None, None]).to(mask_logits.device)
    return torch.where(inside, INSIDE, -INSIDE).to(mask_logits)


def as_proposals(mask_logits: Sequence[Tensor], void_probs: Sequence[Tensor] | None = None) -> Proposals:
    """Of each image of a batch: (N_i, h, w) logits and, where the generator tells it, (N_i,) the probability that a
    mask is of nothing. Images with fewer masks than others are filled up with empty ones."""
    count = max(len(one) for one in mask_logits)
    filled = [F.pad(one, (0, 0, 0, 0, 0, count - len(one)), value=-INSIDE) for one in mask_logits]
    if void_probs is None:
        return Proposals(torch.stack(filled))
    return Proposals(
        torch.stack(filled),
        void_probs=torch.stack([F.pad(one, (0, count - len(one)), value=1.0) for one in void_probs]),
    )
