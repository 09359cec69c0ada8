"""Label maps, in which every value above zero is a mask; a mask whose edges are gray is not one of them."""

import numpy as np

from maskadapter.errors import MaskError

MAX_MASKS = 5_000  # in one label map: a photograph given by mistake has thousands of values

# A map counts as a mask with gray edges where all of this holds. JPEGs and resized or blurred masks have at most
# 7 % flat pixels and at least 40 % transitions among the values that are not their two main ones; the label maps tried,
# down to superpixels of 5 x 5 pixels, at least 15 % flat pixels, or below 15 % transitions (isolated spots and lines).
_LOWEST_SPAN = 32  # between the smallest and the largest value
_LOWEST_PIXELS = 256
_LOWEST_FLAT_AREA = 0.2  # share of the map in which two values are flat, i.e. equal to all eight neighbors
_HIGHEST_FLAT = 0.1  # share of flat pixels among the other values
_LOWEST_TRANSITION = 0.4  # share of pixels with lower and higher values within two pixels, among the other values


def label_values(labels: np.ndarray) -> np.ndarray:
    """Return the values of the masks in a label map, (H, W) int: all above zero, in ascending order.

    Raises MaskError: values below zero, more than 5,000 values, or a mask with gray edges.
    """
    values = np.unique(labels)
    if values[0] < 0:
        raise MaskError("the label map has values below 0; each value above 0 is a mask: give labels + 1")
    masks: np.ndarray = values[values > 0]
    if len(masks) > MAX_MASKS:
        raise MaskError(f"{len(masks):,} different values, more than {MAX_MASKS:,}: is it a label map?")
    if len(values) > 2 and values[-1] - values[0] >= _LOWEST_SPAN and _has_gray_edges(labels):
        raise MaskError(
            f"{len(masks)} values, most of them only along edges, as in a mask that was resized or saved as JPEG: "
            "give mask > 127, or save that as PNG"
        )
    return masks


def _has_gray_edges(labels: np.ndarray) -> bool:
    if labels.size < _LOWEST_PIXELS:
        return False
    low, high = _spread(np.minimum, labels), _spread(np.maximum, labels)
    flat = low == high
    numbers, areas = np.unique(labels[flat], return_counts=True)
    main = np.argsort(areas)[-2:]
    if areas[main].sum() < _LOWEST_FLAT_AREA * labels.size:
        return False
    others = ~np.isin(labels, numbers[main])
    if not others.any() or flat[others].mean() >= _HIGHEST_FLAT:
        return False
    low, high = _spread(np.minimum, low), _spread(np.maximum, high)
    return bool(((low < labels) & (labels < high))[others].mean() >= _LOWEST_TRANSITION)


def _spread(pick: np.ufunc, values: np.ndarray) -> np.ndarray:
    """Return what ``pick`` (minimum or maximum) gives of each pixel and its eight neighbors."""
    for _ in range(2):  # down the columns, then along the rows
        padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
        values = pick(pick(padded[:-2], padded[2:]), values).T
    return values
