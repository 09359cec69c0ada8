import numpy as np
import pytest
import torch

from maskadapter.results.by_mode import segments_by_mode
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary


@pytest.fixture
def result():
    """40 x 60: two cats beside each other, and a wall over the second, of which it is a little less sure."""
    logits = torch.full((3, 40, 60), -10.0)
    logits[0, :, :20], logits[1, :, 20:40], logits[2, :, 20:] = 10, 10, 10
    probs = torch.tensor([[0.9, 0.0, 0.1], [0.8, 0.1, 0.1], [0.0, 0.7, 0.3]])
    size = (40, 60)
    image, sizes = np.zeros((40, 60, 3), np.uint8), ImageSizes(size, size, size)
    return Segmentation(image, Vocabulary.of("cat, wall"), logits, probs, sizes, overlap_threshold=0.4)


def test_panoptic_segments_are_those_of_the_result(result):
    assert segments_by_mode(result, "panoptic") == result.segments
    assert [one.label for one in segments_by_mode(result, "panoptic", score=0.75)] == [0, 0]


def test_semantic_segments_are_the_pixels_of_each_class(result):
    cat, wall = segments_by_mode(result, "semantic")
    np.testing.assert_array_equal(cat.mask, result.semantic() == 0)
    np.testing.assert_array_equal(wall.mask, result.semantic() == 1)
    assert (cat.id, cat.class_name, cat.is_thing, cat.proposal) == (1, "cat", True, 0)
    assert (wall.id, wall.class_name, wall.is_thing, wall.proposal) == (2, "wall", False, 2)
    assert cat.score == pytest.approx(0.9)
    assert cat.top(2)[0][0] == "cat"
    (alone,) = segments_by_mode(result, "semantic", score=0.85)
    np.testing.assert_array_equal(alone.mask, result[0].mask)


def test_instances_are_those_of_the_result(result):
    expected, found = result.instances(), segments_by_mode(result, "instances")
    assert len(found) == len(expected.scores) == 2
    assert [one.id for one in found] == [1, 2]
    for one, mask, score in zip(found, expected.masks, expected.scores, strict=True):
        np.testing.assert_array_equal(one.mask, mask)
        assert one.score == pytest.approx(float(score))
    assert len(segments_by_mode(result, "instances", score=0.85)) == 1
    assert len(segments_by_mode(result, "instances", top=1)) == 1


@pytest.mark.parametrize("mode", ["panoptic", "semantic", "instances"])
def test_a_filtered_result_has_the_kept_segments_in_every_mode(result, mode):
    (kept,) = segments_by_mode(result.filter(score=0.85), mode)
    np.testing.assert_array_equal(kept.mask, result[0].mask)
