"""Display matrices, as a track's header holds them."""

import numpy as np
import pytest

from maskadapter.pipelines.video.orientation import upright

ONE = 1 << 16
IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ((1, 0, 0, 1), IMAGE),
        ((0, 1, -1, 0), np.rot90(IMAGE, -1)),  # what a phone that is held upright writes
        ((-1, 0, 0, -1), np.rot90(IMAGE, 2)),
        ((0, -1, 1, 0), np.rot90(IMAGE)),
        ((-1, 0, 0, 1), IMAGE[:, ::-1]),
        ((1, 0, 0, -1), IMAGE[::-1]),
        ((0, 1, 1, 0), IMAGE.transpose(1, 0, 2)),
        ((0.9, 0.1, -0.1, 0.9), IMAGE),
    ],
)
def test_the_eight_ways_to_hold_a_camera(axes, expected):
    a, b, c, d = (round(ONE * value) for value in axes)
    image, turned = upright(IMAGE, np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32))
    assert image.tolist() == expected.tolist()
    assert turned == (expected.shape != IMAGE.shape)
    assert image.flags.c_contiguous


def test_without_a_matrix():
    image, turned = upright(IMAGE, None)
    assert image is IMAGE
    assert not turned
