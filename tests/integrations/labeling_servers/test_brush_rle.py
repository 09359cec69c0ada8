"""Label Studio's brush masks: as its SDK's decoder reads them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from labeling_client import decode_brush
from pycocotools import mask as rle

from maskadapter.integrations.labeling_servers.brush_rle import brush_rle
from maskadapter.types import CompactMask

DECODED = json.loads((Path(__file__).parent / "brush_masks.json").read_text())
"""Masks as COCO's run lengths, with bytes that label-studio-sdk 2.1.2 decoded to just these masks."""


@pytest.mark.parametrize("case", DECODED, ids=[case["name"] for case in DECODED])
def test_bytes_are_those_that_the_sdk_decoded(case):
    mask = rle.decode(case["mask"]).astype(bool)
    assert brush_rle(CompactMask.of(mask)) == case["rle"]


@settings(max_examples=30, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40), elements=st.booleans()))
def test_any_mask_comes_back(mask):
    found = decode_brush(brush_rle(CompactMask.of(mask))).reshape(*mask.shape, 4)
    assert (found == np.where(mask, 255, 0)[..., None]).all()


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 63, 64, 65, 16383, 16384, 16385, 32768, 40000])
def test_lengths_at_the_edges_of_their_sizes(length):
    mask = np.zeros((1, 50_000), bool)
    mask[0, 7 : 7 + length] = True
    found = decode_brush(brush_rle(CompactMask.of(mask)))
    assert (found.reshape(-1, 4) == np.where(mask[0], 255, 0)[:, None]).all()


def test_a_large_photo_takes_little():
    mask = np.zeros((3000, 4000), bool)
    mask[500:2500, 700:3300] = True
    assert len(brush_rle(CompactMask.of(mask))) < 20_000
