"""Counting pixels part by part."""

import numpy as np
import pytest

from maskadapter.results import counting


@pytest.mark.parametrize(
    ("size", "lowest", "count"), [((9, 7), -1, 5), ((40, 3), 0, 4), ((1, 200), -1, 12), ((0, 5), 0, 2)]
)
def test_pixels_are_counted_strip_by_strip(size, lowest, count, monkeypatch):
    monkeypatch.setattr(counting, "_COUNTED_AT_A_TIME", 20)
    values = np.random.default_rng(0).integers(lowest, lowest + count, size).astype(np.int32)
    found = counting.pixel_counts(values, lowest, count)
    assert found.tolist() == [(values == lowest + place).sum() for place in range(count)]
    assert found.sum() == values.size
