"""Predictions are FiftyOne's label types; no database is needed for them."""

import numpy as np
import pytest
import skimage.data

import maskadapter as ma
from maskadapter.integrations import fiftyone_model
from maskadapter.integrations.fiftyone_model import detections

labels = pytest.importorskip("fiftyone.core.labels")
models = pytest.importorskip("fiftyone.core.models")

PHOTO = skimage.data.chelsea()


@pytest.fixture(scope="module")
def model():
    return ma.load()


def test_segments_are_detections_with_masks(model):
    tool = fiftyone_model(model, "cat, wall, sky", background=None)
    assert isinstance(tool, models.Model)
    with tool:
        found = tool.predict(PHOTO)
    assert isinstance(found, labels.Detections)
    result = model.segment(PHOTO, "cat, wall, sky", background=None)
    assert [one.label for one in found.detections] == [one.class_name for one in result]
    for one, segment in zip(found.detections, result, strict=True):
        left, top, width, height = one.bounding_box
        box = [left * 451, top * 300, (left + width) * 451, (top + height) * 300]
        assert box == pytest.approx(segment.box)
        assert np.array_equal(one.mask, segment.compact.crop)
        assert one.confidence == pytest.approx(segment.score)
        assert [*zip(one.best_classes, one.best_scores, strict=True)] == segment.top(5)
        whole = one.to_segmentation(frame_size=(451, 300)).mask
        assert np.array_equal(whole > 0, segment.mask)  # FiftyOne puts it where it was


def test_a_score_leaves_out_segments(model):
    result = model.segment(PHOTO, "cat, wall", background=None)
    least = max(one.score for one in result)
    found = fiftyone_model(model, "cat, wall", background=None, score=least).predict(PHOTO)
    assert [one.confidence for one in found.detections] == pytest.approx([least])


def test_masks_without_a_class_are_no_detections(model):
    masks = np.zeros((2, *PHOTO.shape[:2]), bool)
    masks[0, 60:280, 80:380] = True
    result = model.segment(PHOTO, "cat, wall", masks=masks)
    assert len(result) == 2
    assert len(detections(result).detections) == 1


@pytest.mark.parametrize("count", [2, 255, 256])
def test_the_class_of_every_pixel_is_a_segmentation(model, count):
    classes = ["cat", "wall", *(f"thing number {number}" for number in range(count - 2))]
    tool = fiftyone_model(model, classes, output="segmentation", background="sky")
    found = tool.predict(PHOTO)
    assert isinstance(found, labels.Segmentation)
    assert found.mask.dtype == (np.uint8 if count < 256 else np.uint16)
    assert np.array_equal(found.mask, model.segment(PHOTO, classes, background="sky").semantic() + 1)
    assert tool.mask_targets[1] == "cat"
    assert len(tool.mask_targets) == count


def test_mistakes_are_one_line(model):
    with pytest.raises(ma.MaskAdapterError, match="no output 'boxes': choose from detections, segmentation"):
        fiftyone_model(model, "cat", output="boxes")
    for score in (-1, 1.1):
        with pytest.raises(ma.MaskAdapterError, match="a number from 0 to 1"):
            fiftyone_model(model, "cat", score=score)
