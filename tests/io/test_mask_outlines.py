import numpy as np
import pytest
from skimage import data

from maskadapter.io import decode_segmentation, mask_polygons


def test_a_rectangle_is_its_four_corners():
    mask = np.zeros((20, 30), bool)
    mask[5:15, 10:25] = True
    (polygon,) = mask_polygons(mask)
    np.testing.assert_array_equal(decode_segmentation([polygon], mask.shape), mask)
    assert len(polygon) <= 16


def test_parts_are_polygons_of_their_own_and_holes_are_left_out():
    mask = np.zeros((40, 40), bool)
    mask[2:18, 2:18], mask[25:35, 25:35] = True, True
    mask[6:12, 6:12] = False
    polygons = mask_polygons(mask)
    assert len(polygons) == 2
    mask[6:12, 6:12] = True
    np.testing.assert_array_equal(decode_segmentation(polygons, mask.shape), mask)


def test_a_mask_in_its_box_is_placed_in_the_image():
    mask = np.zeros((50, 60), bool)
    mask[30:45, 20:50] = True
    (polygon,) = mask_polygons(mask[30:45, 20:50], corner=(20, 30))
    np.testing.assert_array_equal(decode_segmentation([polygon], mask.shape), mask)


@pytest.mark.parametrize("place", [np.s_[3:4, 3:4], np.s_[3:4, 2:9], np.s_[2:9, 9:10]])
def test_parts_of_a_few_pixels_are_boxes(place):
    mask = np.zeros((10, 10), bool)
    mask[place] = True
    (polygon,) = mask_polygons(mask)
    assert len(polygon) >= 6
    assert decode_segmentation([polygon], mask.shape).any()


def test_nothing_has_no_polygons():
    assert mask_polygons(np.zeros((5, 5), bool)) == []


def test_a_shape_is_kept_nearly():
    mask = ~data.horse()
    drawn = decode_segmentation(mask_polygons(mask), mask.shape)
    assert (mask & drawn).sum() / (mask | drawn).sum() > 0.99
