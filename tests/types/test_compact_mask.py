"""Masks in little memory are the same masks."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from maskadapter.types.compact_mask import CompactMask


@settings(max_examples=150, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans()))
def test_any_mask_comes_back(mask):
    compact = CompactMask.of(mask)
    np.testing.assert_array_equal(compact.mask, mask)
    assert compact.size == mask.shape
    assert compact.area == mask.sum()
    if mask.any():
        left, top, right, bottom = compact.box
        rows, columns = np.nonzero(mask)
        assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_array_equal(compact.crop, mask[top:bottom, left:right])
    else:
        assert compact.box == (0, 0, 0, 0)


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (700, 900)])
def test_full_and_empty_masks(shape):
    for mask in (np.zeros(shape, bool), np.ones(shape, bool)):
        np.testing.assert_array_equal(CompactMask.of(mask).mask, mask)


def test_it_is_small_and_shares_no_memory():
    mask = np.zeros((1000, 1000), bool)
    mask[100:700, 200:900] = True
    compact = CompactMask.of(mask)
    assert len(pickle.dumps(compact)) < 10_000
    mask[:] = False
    assert compact.mask.sum() == compact.area == 600 * 700
    first = compact.mask
    first[:] = True
    assert compact.mask.sum() == compact.area
