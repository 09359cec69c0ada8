"""What the user gets back has the same keys and shapes, also when nothing was found."""

import json

import numpy as np
import pytest
import torch

from maskadapter.results.segmentation import FORMATS, Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary

supervision = pytest.importorskip("supervision")


def segmentation(proposals):
    """40 x 60, cut into ``proposals`` upright stripes, by turns cat and wall."""
    logits = torch.full((proposals, 40, 60), -10.0)
    probs = torch.zeros(proposals, 3)
    for index in range(proposals):
        logits[index, :, 60 * index // proposals : 60 * (index + 1) // proposals] = 10
        probs[index, index % 2] = 1
    sizes = ImageSizes((40, 60), (40, 60), (40, 60))
    return Segmentation(np.zeros((40, 60, 3), np.uint8), Vocabulary.of("cat, wall"), logits, probs, sizes)


def test_to_supervision():
    detections = segmentation(3).to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert sorted(detections.data["class_name"]) == ["cat", "cat", "wall"]
    assert detections.mask.shape == (3, 40, 60)
    assert (detections.mask.sum(axis=0) == 1).all()
    order = np.argsort(detections.xyxy[:, 0])
    assert detections.xyxy[order].tolist() == [[0, 0, 20, 40], [20, 0, 40, 40], [40, 0, 60, 40]]
    assert detections.class_id[order].tolist() == [0, 1, 0]
    assert detections.confidence.tolist() == [1, 1, 1]
    for annotator in ("MaskAnnotator", "BoxAnnotator", "LabelAnnotator", "PolygonAnnotator"):
        assert getattr(supervision, annotator)().annotate(np.zeros((40, 60, 3), np.uint8), detections).any(), annotator


@pytest.mark.parametrize("proposals", [0, 1, 4])
def test_the_same_keys_and_shapes_whatever_was_found(tmp_path, proposals):
    result = segmentation(proposals)
    assert result.semantic().shape == (40, 60)
    assert (result.semantic() == -1).all() == (proposals == 0)
    assert result.panoptic().ids.shape == (40, 60)
    assert len(result.panoptic().segments) == proposals if proposals < 4 else 3  # walls are one segment of stuff
    found = result.instances()
    assert found.masks.shape == (len(found.labels), 40, 60)
    assert found.boxes.shape == (len(found.labels), 4)
    detections = result.to_supervision()
    assert len(detections) == len(result.panoptic().segments)
    assert detections.mask.shape == (len(detections), 40, 60)
    summary = result.summary()
    assert set(summary) == {*("file_name", "height", "width", "background", "classes", "none", "pruning", "segments")}
    assert [entry["name"] for entry in summary["classes"]] == ["cat", "wall"]
    formats = [name for name in FORMATS if name != "activations"]
    for path in result.save(tmp_path, formats):
        assert path.stat().st_size > 0
        if path.suffix == ".json":
            json.loads(path.read_text())
