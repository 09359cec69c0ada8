"""mIoU against a count pixel by pixel, by either convention; seen and unseen classes apart."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskadapter.errors import MaskError
from maskadapter.evaluation.metrics.semantic import class_ious, confusion, mean_iou, pixel_counts, semantic_scores


def by_brute_force(images, classes, predicted_too):
    """Pixel by pixel, by the definition, without a table."""
    ious = []
    for label in range(classes):
        both = either = true = taken = 0
        for predicted, labels in images:
            for p, t in zip(predicted.ravel().tolist(), labels.ravel().tolist(), strict=True):
                if not 0 <= t < classes:
                    continue
                both += p == t == label
                either += label in (p, t)
                true += t == label
                taken += p == label
        if true or (predicted_too and taken):
            ious.append(both / either)
    return sum(ious) / len(ious) if ious else math.nan


maps = st.integers(1, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=3),
    )
)


@settings(deadline=None)
@given(maps)
def test_mean_iou_is_what_counting_pixel_by_pixel_gives(drawn):
    classes, seeds = drawn
    images = []
    for seed, height, width in seeds:
        rng = np.random.default_rng(seed)
        # The ground truth has only the lower classes, so that some are predicted in vain; -1 and 255 are ignored.
        labels = rng.choice([-1, 255, *range(max(1, classes - 2))], (height, width))
        images.append((rng.integers(-1, classes, (height, width)), labels))
    counts = pixel_counts([confusion(*image, classes) for image in images], classes)
    for convention, predicted_too in (("detectron2-main", False), ("detectron2-0.6", True)):
        expected = by_brute_force(images, classes, predicted_too)
        assert mean_iou(counts, convention) == pytest.approx(expected, nan_ok=True)


def test_the_conventions_differ_where_a_class_is_predicted_and_absent():
    labels = np.array([[0, 0, 1, 1]])
    predicted = np.array([[0, 0, 1, 2]])
    counts = pixel_counts([confusion(predicted, labels, 4)], 4)
    # IoU of class 0 is 2 / 2, of class 1 is 1 / 2; class 2 is predicted and absent; class 3 is neither.
    assert mean_iou(counts) == (1 + 0.5) / 2
    assert mean_iou(counts, "detectron2-0.6") == (1 + 0.5 + 0) / 3
    assert np.isnan(class_ious(counts)[2:]).all()


def test_the_other_measures_by_hand():
    labels = np.array([[0, 0, 0, 1, -1]])
    predicted = np.array([[0, 0, 1, -1, 1]])
    scores = semantic_scores(pixel_counts([confusion(predicted, labels, 2)], 2))
    # Class 0: 2 of 3 in the union, 2 of its 3 pixels right. Class 1: none of 2 in the union, 0 of 1 right.
    assert scores == pytest.approx({"mIoU": (2 / 3) / 2, "fwIoU": 3 / 4 * 2 / 3, "mACC": (2 / 3) / 2, "pACC": 2 / 4})


def test_rows_are_of_pairs_that_occur_and_none_is_the_last_class():
    rows = confusion(np.array([[1, 1, -1, 9]]), np.array([[0, 0, 2, -1]]), 847)
    assert rows.tolist() == [[0, 1, 2], [2, 847, 1]]
    assert confusion(np.array([[5]]), np.array([[-1]]), 6).shape == (0, 3)


def test_nothing_labeled_gives_no_number():
    counts = pixel_counts([confusion(np.zeros((2, 2), int), np.full((2, 2), -1), 3)], 3)
    assert all(math.isnan(value) for value in semantic_scores(counts).values())
    assert math.isnan(mean_iou(counts, "detectron2-0.6"))  # what is predicted on unlabeled pixels counts for nothing


def test_a_prediction_without_a_class_is_no_class():
    counts = pixel_counts([np.array([[0, -1, 5], [1, 1, 2], [2, 3, 4]])], 3)
    assert counts.tolist() == [[0, 2, 0], [0, 2, 0], [5, 2, 4]]


def test_another_size_is_refused():
    with pytest.raises(MaskError, match=r"the prediction has \(2, 3\) pixels and the labels \(3, 2\)"):
        confusion(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)


def test_means_of_groups():
    counts = np.array([[1, 1, 0, 0], [1, 2, 1, 1], [1, 2, 1, 0]])  # IoUs 1, 1/3, 0; class 3 predicted and absent
    among = np.array([True, False, True, True])
    assert mean_iou(counts, among=among) == (1 + 0) / 2
    assert mean_iou(counts, "detectron2-0.6", among) == (1 + 0 + 0) / 3
    assert math.isnan(mean_iou(counts, among=np.array([False, False, False, True])))
