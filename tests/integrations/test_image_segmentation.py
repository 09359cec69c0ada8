"""The callable has the shape of the pipeline ``image-segmentation``."""

from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image

import maskadapter as ma
from maskadapter.models.preprocess import InputSize

PHOTO = skimage.data.chelsea()


@pytest.fixture(scope="module")
def pipe():
    model = ma.load()
    model.inference = replace(model.inference, input_size=InputSize(256, 256))  # quicker
    return ma.ImageSegmentation(model, ["cat", ("wall", "plaster"), "sky"], background=None)


def test_segments_are_dictionaries_of_the_pipeline(pipe):
    found = pipe(PHOTO)
    assert found
    result = pipe.model.segment(PHOTO, ["cat", ("wall", "plaster"), "sky"], background=None)
    assert [one["label"] for one in found] == [one.class_name for one in result]
    for one, segment in zip(found, result, strict=True):
        assert set(one) == {"label", "score", "mask"}
        assert isinstance(one["score"], float)
        assert (one["mask"].mode, one["mask"].size) == ("L", (451, 300))
        assert np.array_equal(np.asarray(one["mask"]) == 255, segment.mask)


def test_classes_that_occur_have_one_mask_each_in_the_semantic_subtask(pipe):
    found = pipe(Image.fromarray(PHOTO), subtask="semantic", threshold=0.9)
    assert [one["label"] for one in found] == sorted({one["label"] for one in found}, key=["cat", "wall", "sky"].index)
    assert all(one["score"] is None for one in found)
    assert sum((np.asarray(one["mask"]) > 0).astype(int) for one in found).max() == 1


def test_things_alone_are_instances_and_a_threshold_leaves_out_the_rest(pipe):
    found = pipe(PHOTO, subtask="instance")
    assert {one["label"] for one in found} == {"cat"}
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    half = scores[len(scores) // 2]
    assert [one["score"] for one in pipe(PHOTO, subtask="instance", threshold=half)] == [s for s in scores if s >= half]


def test_a_list_gives_a_list_of_lists(pipe):
    first, second = pipe((PHOTO, PHOTO[:, ::-1]))
    assert first
    assert isinstance(second, list)
    assert pipe([]) == []


def test_masks_without_a_class_are_left_out():
    model, masks = ma.load(), np.zeros((2, *PHOTO.shape[:2]), bool)
    masks[0, 60:280, 80:380] = True
    model.mask_source = lambda image: masks
    assert len(model.segment(PHOTO, "cat, wall")) == 2
    assert len(ma.ImageSegmentation(model, "cat, wall")(PHOTO)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subtask": "depth"}, "no subtask 'depth': choose from panoptic"),
        ({"threshold": 2}, "a number from 0 to 1"),
        ({"threshold": -1}, "from 0"),
    ],
)
def test_mistakes_are_one_line(pipe, options, message):
    with pytest.raises(ma.MaskAdapterError, match=message):
        pipe(PHOTO, **options)
    with pytest.raises(ma.MaskAdapterError, match="address"):
        pipe("https://example.org/photo.jpg")
