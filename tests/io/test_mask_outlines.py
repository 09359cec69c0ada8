"""Outlines of masks: their place, area, holes, parts and number of points."""

import numpy as np
import pytest
from pycocotools import mask as rle
from scipy import ndimage
from skimage import data

from maskadapter.io import outlines_of
from maskadapter.io.mask_outlines import ring_area
from maskadapter.types import CompactMask

ROWS, COLUMNS = np.mgrid[:200, :300]
DISC = (ROWS - 80) ** 2 + (COLUMNS - 120) ** 2 < 60**2
RING = DISC & ((ROWS - 80) ** 2 + (COLUMNS - 110) ** 2 > 20**2)
HORSE = ~data.horse()


def outlines(mask, **options):
    return outlines_of(CompactMask.of(mask), **options)


def drawn(rings, size):
    runs = rle.frPyObjects([ring.ravel().tolist() for ring in rings], *size)
    return rle.decode(rle.merge(runs)).astype(bool)


def test_a_rectangle_is_its_corners_in_pixels_from_the_images_edge():
    mask = np.zeros((50, 60), bool)
    mask[10:30, 0:40] = True
    ((outer, holes),) = outlines(mask)
    assert holes == ()
    assert len(outer) <= 8
    assert outer.min(0) == pytest.approx([0, 10], abs=0.5)
    assert outer.max(0) == pytest.approx([40, 30], abs=0.5)
    assert abs(ring_area(outer)) == pytest.approx(800, rel=0.02)


@pytest.mark.parametrize("mask", [DISC, RING, HORSE], ids=["disc", "ring", "horse"])
@pytest.mark.parametrize("tolerance", [0, 1, 3])
def test_the_area_and_the_pixels_stay(mask, tolerance):
    found = outlines(mask, tolerance=tolerance)
    assert sum(outline.area for outline in found) == pytest.approx(mask.sum(), rel=0.03)
    again = drawn([outline.ring() for outline in found], mask.shape)
    assert (again & mask).sum() / (again | mask).sum() > 0.93


def test_simplifying_leaves_few_points_within_the_tolerance():
    ((full, _),) = outlines(DISC, tolerance=0)
    ((simple, _),) = outlines(DISC, tolerance=1)
    assert len(simple) < len(full) / 8
    distances = np.hypot(*(simple - [120.5, 80.5]).T)
    assert (abs(distances - 60) < 1.5).all()


def test_a_hole_is_a_ring_of_the_other_direction_and_one_ring_holds_both():
    (outline,) = outlines(RING)
    (hole,) = outline.holes
    assert ring_area(hole) * ring_area(outline.outer) < 0
    assert (hole.min(0) + hole.max(0)) / 2 == pytest.approx([110.5, 80.5], abs=1)
    assert abs(ring_area(outline.ring())) == pytest.approx(outline.area)


def test_parts_come_largest_first_and_an_island_in_a_hole_is_a_part():
    mask = RING.copy()
    mask[78:84, 108:114] = True
    mask[190:, 290:] = True
    found = outlines(mask)
    assert [round(outline.area) for outline in found] == sorted((round(o.area) for o in found), reverse=True)
    assert [len(outline.holes) for outline in found] == [1, 0, 0]
    assert found[1].outer.max(0) == pytest.approx([300, 200], abs=0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_the_smallest_masks_have_an_outline(shape):
    mask = np.zeros((9, 9), bool)
    mask[1 : 1 + shape[0], 1 : 1 + shape[1]] = True
    (outline,) = outlines(mask, tolerance=5)
    assert len(outline.outer) >= 3
    assert outline.area >= 0.5 * mask.sum()


def test_pixels_that_touch_at_a_corner_are_parts_of_their_own():
    assert len(outlines(np.eye(4, dtype=bool))) == 4
    assert [len(outline.holes) for outline in outlines(np.indices((8, 8)).sum(0) % 2 == 0)] == [0] * 32


def test_an_empty_mask_has_none_and_a_full_one_its_border():
    assert outlines(np.zeros((5, 8), bool)) == []
    (outline,) = outlines(np.ones((50, 80), bool))
    assert outline.outer.max(0) == pytest.approx([80, 50], abs=0.5)


def test_the_outline_does_not_depend_on_where_the_mask_lies():
    moved = ndimage.shift(RING, (40, 100), order=0)
    (here,), (there,) = outlines(RING), outlines(moved)
    assert there.outer == pytest.approx(here.outer + np.array([100, 40]))
