"""Classes of pixels that lie in several masks: every mask votes with its class probabilities."""

from collections.abc import Sequence

import numpy as np

from maskadapter.types import CompactMask, Size


def mask_votes(masks: Sequence[CompactMask], probs: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Sum the class probabilities probs (N, C) of the masks at every pixel of an image of ``size``.

    Returns regions (H, W) int32 of pixels that lie in the same masks, and their sums (R, C) float32; region 0 lies in
    no mask, its sums are 0."""
    regions = np.zeros(size, np.int32)
    sums = [np.zeros(probs.shape[1], np.float32)]
    for mask, row in zip(masks, probs, strict=True):
        box, inside = regions[mask.inside], mask.crop
        parts = box[inside]
        divided = np.flatnonzero(np.bincount(parts, minlength=len(sums)))
        renumbered = np.zeros(len(sums), np.int32)
        renumbered[divided] = np.arange(len(sums), len(sums) + len(divided))
        box[inside] = renumbered[parts]
        sums += [sums[part] + row for part in divided]
    return regions, np.stack(sums)
