"""COCO's polygons, checked before they reach C code, and drawn as run lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle

from maskadapter.errors import MaskError

# pycocotools ends the process at coordinates from about 1e8 on, and where the memory for all pixels of an outline ends.
_FARTHEST = 100_000  # pixels outside the image
_MAX_OUTLINE = 5_000_000  # pixels


def draw_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> dict[str, Any]:
    """Draw the union of COCO's polygons, each a flat list [x1, y1, x2, y2, ...] in pixels, as run lengths.

    size: (height, width) of the image. Polygons of one or two points are left out beside others. Raises MaskError: no
    polygon of three points, another nesting, no finite numbers, an odd number of them, coordinates relative to the
    image's size, or polygons outside the image.
    """
    height, width = size
    if not polygons:
        raise MaskError("the segmentation is empty: a box alone gives no mask; polygons or run lengths are needed")
    outlines = [outline for outline in (_outline(polygon, size) for polygon in polygons) if len(outline) >= 6]
    if not outlines:
        form = "a polygon is one flat list [x1, y1, x2, y2, x3, y3, ...]"
        raise MaskError(f"no polygon has three points: {form}, a segmentation a list of polygons")
    if max(size) > 2 and all(outline.min() >= -0.5 and outline.max() <= 1.5 for outline in outlines):
        raise MaskError(f"the polygons are relative to the image's size: multiply x by {width} and y by {height}")
    if sum(float(np.abs(np.diff(outline.reshape(-1, 2), axis=0)).sum()) for outline in outlines) > _MAX_OUTLINE:
        raise MaskError(f"the outlines of the polygons are longer than {_MAX_OUTLINE:,} pixels")
    runs: dict[str, Any] = rle.merge(rle.frPyObjects(outlines, height, width))
    if not rle.area(runs) and max(_area(outline) for outline in outlines) >= 1:
        raise MaskError(f"the polygons cover no pixel of an image of {width} x {height}")
    return runs


def _outline(polygon: Any, size: tuple[int, int]) -> np.ndarray:
    """Return one polygon as a flat array of numbers that can be drawn."""
    numbers = np.array(polygon) if isinstance(polygon, list | tuple | np.ndarray) else np.array(None)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise MaskError("a segmentation is a list of polygons, and each of them one flat list of numbers [x1, y1, ...]")
    if len(numbers) % 2:
        raise MaskError(f"a polygon has {len(numbers)} numbers: an x or y is missing")
    numbers = numbers.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise MaskError("a polygon has a coordinate that is not finite")
    for axis, side, places in (("x", size[1], numbers[::2]), ("y", size[0], numbers[1::2])):
        outside = places[(places < -_FARTHEST) | (places > side + _FARTHEST)]
        if outside.size:
            raise MaskError(f"a polygon reaches {axis} = {outside[0]:g} in an image of {size[1]} x {size[0]}")
    return numbers


def _area(outline: np.ndarray) -> float:
    x, y = outline[::2], outline[1::2]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
