"""Find the parts of an image that no mask covers."""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import ndimage

_GRID = 224  # blocks along the longer side: the masks' resolution in an input of 896 pixels at stride 4
_SMALLEST = 0.001  # share of the image


def unmasked_regions(masks: Iterable[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Masks (H, W) bool of what no mask (H, W) bool of an image of ``size`` covers, one for each connected region, the
    largest first; none where there is no mask. Regions are connected over blocks of which more than half is unmasked,
    so that thin gaps between masks do not count; those smaller than a thousandth of the image are left out."""
    free, some = np.ones(size, dtype=bool), False
    for mask in masks:
        free &= ~mask
        some = True
    if not some:
        return
    side = max(1, -(-max(size) // _GRID))
    rows, columns = np.arange(0, size[0], side), np.arange(0, size[1], side)
    count = np.add.reduceat(np.add.reduceat(free, rows, axis=0, dtype=np.int64), columns, axis=1)
    area = np.outer(np.diff([*rows, size[0]]), np.diff([*columns, size[1]]))
    blocks, number = ndimage.label(2 * count > area)
    regions = blocks.repeat(side, axis=0)[: size[0]].repeat(side, axis=1)[:, : size[1]] * free
    areas = np.bincount(regions.ravel(), minlength=number + 1)[1:]
    enough = np.flatnonzero(areas >= _SMALLEST * size[0] * size[1])
    for index in enough[np.argsort(-areas[enough], kind="stable")]:
        yield regions == index + 1
