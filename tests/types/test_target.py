"""The ground truth about one image."""

import numpy as np
import pytest

from maskadapter.errors import MaskError
from maskadapter.types.target import UNLABELED, Target


def test_labels_become_one_segment_for_each_class_and_back():
    labels = np.array([[7, 7, -1], [2, -5, 7]])
    target = Target.of_labels(labels)
    assert target.classes.tolist() == [2, 7]
    assert target.size == (2, 3)
    assert target.labels().tolist() == [[7, 7, UNLABELED], [2, UNLABELED, 7]]
    assert target.masks().sum(axis=(1, 2)).tolist() == [1, 3]


def test_nothing_labeled_is_a_target_without_segments():
    target = Target.of_labels(np.full((4, 5), -1))
    assert target.masks().shape == (0, 4, 5)
    assert (target.labels() == UNLABELED).all()


def test_masks_that_overlap_have_no_labels():
    masks = np.ones((2, 3, 4), dtype=bool)
    target = Target.of_masks(masks, [1, 1])
    assert target.masks() is masks
    with pytest.raises(MaskError, match="may overlap"):
        target.labels()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"segment_ids": np.zeros((2, 2), np.int32), "is_crowd": np.zeros(3, bool)}, "3 flags for 1"),
        ({}, "either"),
        ({"segment_ids": np.ones((2, 2), np.int32)}, "not among the 1"),
        ({"segment_ids": np.zeros(4, np.int32)}, r"\(H, W\) is needed"),
        ({"overlapping": np.zeros((2, 4, 4), bool)}, r"\(1, H, W\) is needed"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields, words):
    with pytest.raises(MaskError, match=words):
        Target(**{"classes": np.array([0]), "is_crowd": np.array([False]), **fields})
