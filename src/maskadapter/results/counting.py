"""How many pixels have each value."""

import numpy as np

_COUNTED_AT_A_TIME = 1 << 20  # pixels, about: numpy counts a copy of 8 bytes a pixel


def pixel_counts(values: np.ndarray, lowest: int, count: int) -> np.ndarray:
    """(count,) int64: the pixels of a map (H, W) int that have the value ``lowest``, the next one, and so on; no others
    occur."""
    counts = np.zeros(count, np.int64)
    step = max(1, _COUNTED_AT_A_TIME // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        counts += np.bincount((values[start : start + step] - lowest).ravel(), minlength=count)
    return counts
