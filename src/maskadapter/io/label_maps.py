"""Label maps, in which every value above zero is a mask; gray images and masks with gray edges are not label maps."""

import numpy as np

from maskadapter.errors import MaskError

MAX_MASKS = 5_000  # in one label map: a photograph given by mistake has thousands of values

# A map counts as gray where all of this holds. Tried: JPEGs of masks, resized and blurred masks, heat maps and photos;
# all but a photo of grass have a roughness below 0.4, less than 8 % of flat pixels and at least 40 % of transitions. Of
# label maps, superpixels of 5 x 5 pixels have 20 % of flat pixels, isolated spots and lines 14 % of transitions, and
# random values in blocks of 2 x 2 pixels a roughness of 0.57.
_LOWEST_SPAN = 32  # between the smallest and the largest value
_LOWEST_PIXELS = 256
_HIGHEST_ROUGHNESS = 0.45  # mean difference of neighbors along an axis, in standard deviations of all values
# Of all values but the two that are flat the most, the share of pixels that equal their eight neighbors, and the share
# of pixels with lower and with higher values within two pixels:
_HIGHEST_FLAT = 0.1
_LOWEST_TRANSITION = 0.4


def label_values(labels: np.ndarray) -> np.ndarray:
    """Return the values of the masks in a label map, (H, W) int: all above zero, in ascending order.

    Raises MaskError: values below zero, more than 5,000 values, or gray.
    """
    values = np.unique(labels)
    if values[0] < 0:
        raise MaskError("the label map has values below 0; each value above 0 is a mask: give labels + 1")
    masks: np.ndarray = values[values > 0]
    if len(masks) > MAX_MASKS:
        raise MaskError(f"{len(masks):,} different values, more than {MAX_MASKS:,}: is it a label map?")
    if len(values) > 2 and values[-1] - values[0] >= _LOWEST_SPAN and _is_gray(labels):
        raise MaskError(
            f"{len(masks):,} values, most of them in transitions, as in a photo, or a mask that was resized or saved "
            "as JPEG: of a mask give mask > 127, or save that as PNG"
        )
    return masks


def _is_gray(labels: np.ndarray) -> bool:
    if labels.size < _LOWEST_PIXELS or _roughness(labels) > _HIGHEST_ROUGHNESS:
        return False
    low, high = _spread(np.minimum, labels), _spread(np.maximum, labels)
    flat = low == high
    numbers, areas = np.unique(labels[flat], return_counts=True)
    others = ~np.isin(labels, numbers[np.argsort(areas)[-2:]])
    if not others.any() or flat[others].mean() >= _HIGHEST_FLAT:
        return False
    low, high = _spread(np.minimum, low), _spread(np.maximum, high)
    return bool(((low < labels) & (labels < high))[others].mean() >= _LOWEST_TRANSITION)


def _roughness(labels: np.ndarray) -> float:
    values = labels.astype(np.float32)
    return max(float(np.abs(np.diff(values, axis=axis)).mean()) for axis in (0, 1)) / float(values.std())


def _spread(pick: np.ufunc, values: np.ndarray) -> np.ndarray:
    """Return what ``pick`` (minimum or maximum) gives of each pixel and its eight neighbors."""
    for _ in range(2):  # down the columns, then along the rows
        padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
        values = pick(pick(padded[:-2], padded[2:]), values).T
    return values
