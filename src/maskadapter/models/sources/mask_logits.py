"""Masks from anywhere, as logits for the networks."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.io import mask_parts
from maskadapter.models.sources.source_names import is_source, mask_source
from maskadapter.types import INSIDE, CompactMask, ImageSizes


def mask_logits(
    masks: Any, image: np.ndarray, sizes: ImageSizes, file_name: str | None, device: torch.device
) -> tuple[Tensor, tuple[CompactMask, ...]]:
    """Make or read the masks of an image: (N, h, w) logits at stride 4 of the networks' input, and the masks as they
    are. masks: whatever ``mask_parts`` takes; a ``MaskSource``, which gets ``image`` (H, W, 3) uint8 as it is; or the
    name of one, which is loaded. file_name: of the image, to find its masks in a COCO file."""
    if isinstance(masks, str) and is_source(masks):
        masks = mask_source(masks, device)
    parts = mask_parts(masks(image) if callable(masks) else masks, sizes.original, file_name)
    logits: list[Tensor] = []
    compact: list[CompactMask] = []
    for part in parts:
        logits.append(at_stride_4(torch.from_numpy(part), sizes))
        compact += map(CompactMask.of, part)
    return torch.cat(logits).to(device), tuple(compact)


def at_stride_4(masks: Iterable[Tensor], sizes: ImageSizes) -> Tensor:
    """N masks (H, W) bool at the image's size -> (N, h, w) logits at stride 4 of the padded input.

    A location is inside where the mask covers more than half of what it covers of its best location, so that a mask
    smaller than one location keeps the one it lies in. The logits run from -10 to 10 with the share that is covered."""
    rows, columns = map(_coverage, sizes.original, sizes.resized, sizes.padded)
    logits = [_covered(one, rows, columns) for one in masks]
    return torch.stack(logits) if logits else rows.new_zeros(0, len(rows), len(columns))


def _coverage(image: int, resized: int, padded: int) -> Tensor:
    """Share of each location that each pixel of a side covers once it is resized and padded: (padded / 4, image)."""
    shares = []
    every = torch.arange(image, device="cpu")
    for some in every.split(512):  # all pixels of a large image would be a large matrix
        pixels = (every[:, None] == some).to(torch.float32)[None, None]
        seen = F.interpolate(pixels, (resized, len(some)), mode="bilinear", antialias=True)
        shares.append(F.avg_pool2d(F.pad(seen, (0, 0, 0, padded - resized)), (4, 1))[0, 0])
    return torch.cat(shares, dim=1)


def _covered(mask: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Logits (h, w) of the share of each location that a mask (H, W) bool covers; only its box is looked at."""
    inside = [mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()]
    if not len(inside[0]):
        return rows.new_full((len(rows), len(columns)), -INSIDE)
    y, x = (slice(int(places[0]), int(places[-1]) + 1) for places in inside)
    shares = rows[:, y] @ mask[y, x].to(rows) @ columns[:, x].T
    return (2 * shares / shares.amax().clamp(min=torch.finfo(shares.dtype).tiny) - 1) * INSIDE
