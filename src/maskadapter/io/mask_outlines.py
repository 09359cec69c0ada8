"""The outlines of a mask as polygons. SciPy and scikit-image are imported where they are used: they take half a second,
and every command imports this room."""

from typing import NamedTuple

import numpy as np

from maskadapter.types import CompactMask

TOLERANCE = 1.0  # pixels
_FEW = 8  # points of a ring around three pixels: nothing to leave out
_MOST_CHANGE = 0.02  # share of a ring's area that simplifying may add or remove


class Outline(NamedTuple):
    """One connected part of a mask. outer and each of holes: a ring of points (P, 2) float64, x and y in pixels from
    the image's left and top edge, P at least 3, the first point not repeated; holes wind the other way."""

    outer: np.ndarray
    holes: tuple[np.ndarray, ...]

    @property
    def area(self) -> float:
        """Square pixels, without the holes."""
        return abs(ring_area(self.outer)) - sum(abs(ring_area(hole)) for hole in self.holes)

    def ring(self) -> np.ndarray:
        """One ring (P, 2) of the same area, for formats without holes: a cut of no width leads to each of them."""
        from scipy.spatial import KDTree

        ring = self.outer
        for hole in self.holes:
            gaps, nearest = KDTree(hole).query(ring)
            start = int(gaps.argmin())
            around = np.roll(hole, -int(nearest[start]), axis=0)
            ring = np.concatenate([ring[: start + 1], around, around[:1], ring[start:]])
        return ring


def outlines_of(mask: CompactMask, tolerance: float = TOLERANCE) -> list[Outline]:
    """Return the outlines of a mask's connected parts, the largest first; none of an empty mask.

    tolerance: pixels that an outline may lie away from that of the mask, at least 0; it gets less where the area of a
    ring would change by more than 2 %. Pixels that touch only at a corner are separate parts. At 0 the outline cuts
    each corner of a pixel by an eighth of its area.
    """
    from scipy import ndimage
    from skimage.measure import find_contours

    if not mask.area:
        return []
    parts, count = ndimage.label(np.pad(mask.crop, 1))
    # Of the border of zeros 1 pixel goes; half of one comes back because points lie on edges and not on centers.
    corner = np.array(mask.box[:2]) - 0.5
    rings: list[list[np.ndarray]] = [[] for _ in range(count)]
    for contour in find_contours((parts > 0).astype(np.float32), 0.5):
        beside = np.stack([np.floor(contour[0]), np.ceil(contour[0])]).astype(int)  # a pixel inside and one outside
        rings[parts[tuple(beside.T)].max() - 1].append(contour[:-1, ::-1] + corner)
    outlines = [_outline(of_part, tolerance) for of_part in rings]
    return sorted(outlines, key=lambda outline: -outline.area)


def ring_area(ring: np.ndarray) -> float:
    """Return the signed area of a ring (P, 2): the sign is that of the way it winds."""
    x, y = (ring - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _outline(rings: list[np.ndarray], tolerance: float) -> Outline:
    ordered = sorted(rings, key=lambda ring: -abs(ring_area(ring)))
    outer, *holes = (_simplified(ring, tolerance) for ring in ordered)
    return Outline(outer, tuple(holes))


def _simplified(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Leave out points of a ring. Source: D. Douglas and T. Peucker, Algorithms for the reduction of the number of
    points required to represent a digitized line or its caricature, 1973; here on each half of the ring."""
    from skimage.measure import approximate_polygon

    if len(ring) <= _FEW:
        return ring
    far = int(((ring - ring[0]) ** 2).sum(1).argmax())
    halves = ring[: far + 1], np.concatenate([ring[far:], ring[:1]])
    area = ring_area(ring)
    while tolerance > 0.1:
        simple = np.concatenate([approximate_polygon(half, tolerance)[:-1] for half in halves])
        if len(simple) > 2 and abs(ring_area(simple) - area) <= _MOST_CHANGE * abs(area):
            return simple
        tolerance /= 2
    return ring
