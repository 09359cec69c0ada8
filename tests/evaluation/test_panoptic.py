"""Panoptic quality against numbers worked out by hand."""

import math

import numpy as np
import pytest

from maskadapter.errors import MaskError
from maskadapter.evaluation.metrics.panoptic import PanopticQuality, match_segments
from maskadapter.results.postprocessing import PanopticMap, Segment
from maskadapter.types.target import Target


def strip(*runs):
    """Runs (value, length) as a map of one row."""
    return np.repeat([value for value, _ in runs], [length for _, length in runs])[None].astype(np.int32)


def truth(classes, *runs, crowd=()):
    return Target(np.array(classes), np.array([n in crowd for n in range(len(classes))], dtype=bool), strip(*runs))


def prediction(labels, *runs):
    segments = tuple(Segment(n, label, True, 1.0, 0, 0) for n, label in enumerate(labels, start=1))
    return PanopticMap(strip(*runs), segments)


def test_by_hand():
    # Truth: segment 0 (class 0) on pixels 0-9, segment 1 (class 0) on 10-19, segment 2 (class 1) on 20-29.
    target = truth([0, 0, 1], (0, 10), (1, 10), (2, 10))
    # Prediction: 1 (class 0) on 0-7, 2 (class 0) on 8-13, 3 (class 1) on 14-29.
    found = prediction([0, 0, 1], (1, 8), (2, 6), (3, 16))
    # 1 with segment 0: 8 / 10 = 0.8, a match. 2 with segment 0: 2 / 14, with segment 1: 4 / 12 = 1/3: no match, one
    # false positive; segment 1 has none, one false negative. 3 with segment 2: 10 / 16 = 0.625, a match.
    matches = match_segments(found, target)
    assert matches == {0: (1, 1, [0.8]), 1: (0, 0, [0.625])}
    quality = PanopticQuality.of([matches], 3)
    # Class 0: SQ 0.8, RQ 1 / (1 + 1/2 + 1/2) = 0.5, PQ 0.4. Class 1: SQ 0.625, RQ 1, PQ 0.625. Class 2 is not there.
    assert quality.per_class()[:, :2].T.tolist() == [[0.4, 0.8, 0.5], [0.625, 0.625, 1.0]]
    assert quality.mean(np.array([True] * 3)) == pytest.approx(((0.4 + 0.625) / 2, (0.8 + 0.625) / 2, 0.75))
    assert quality.mean(np.array([True, False, False])) == (0.4, 0.8, 0.5)
    assert all(math.isnan(value) for value in quality.mean(np.array([False, False, True])))


def test_an_iou_of_one_half_is_no_match():
    # 5 of 10: exactly one half.
    assert match_segments(prediction([0], (1, 5), (0, 5)), truth([0], (0, 10))) == {0: (1, 1, [])}


def test_the_class_has_to_be_right():
    assert match_segments(prediction([1], (1, 10)), truth([0], (0, 10))) == {1: (1, 0, []), 0: (0, 1, [])}


def test_void_is_left_out_of_the_union():
    # Segment 0 on 0-5, void on 6-9; the prediction covers all ten. Union 6 + 10 - 6 - 4 (void) = 6: IoU 1.
    assert match_segments(prediction([0], (1, 10)), truth([0], (0, 6), (-1, 4))) == {0: (0, 0, [1.0])}


def test_mostly_on_void_is_no_mistake():
    # Prediction 2 (class 1) on 6-9: void 7-9 is 3 of its 4 pixels, more than half: not counted. Segment 0 is matched.
    target = truth([0], (0, 7), (-1, 3))
    assert match_segments(prediction([0, 1], (1, 6), (2, 4)), target) == {0: (0, 0, [6 / 7])}
    # On 4-9: void is 3 of 6, exactly half, and that is counted. Segment 0: 4 of 7 = 0.57, still a match.
    assert match_segments(prediction([0, 1], (1, 4), (2, 6)), target) == {0: (0, 0, [4 / 7]), 1: (1, 0, [])}


def test_crowds_are_neither_missed_nor_matched():
    target = truth([0, 0], (0, 10), (1, 10), crowd=[1])
    # Nothing predicted: segment 0 is missed, the crowd is not.
    assert match_segments(prediction([], (0, 20)), target) == {0: (0, 1, [])}
    # Prediction 2 lies on the crowd alone: no match, and no mistake.
    assert match_segments(prediction([0, 0], (1, 10), (2, 10)), target) == {0: (0, 0, [1.0])}
    # Of another class it is a mistake.
    assert match_segments(prediction([0, 1], (1, 10), (2, 10)), target) == {0: (0, 0, [1.0]), 1: (1, 0, [])}


def test_void_and_crowd_together_excuse():
    # Prediction 1 (class 0) on 0-9: 4 pixels of a segment of class 1, 3 of the crowd of its class, 3 of void: 6 of 10.
    target = truth([1, 0], (0, 4), (1, 3), (-1, 3), crowd=[1])
    assert match_segments(prediction([0], (1, 10)), target) == {1: (0, 1, [])}
    # 5 of 10 (one pixel of void is labeled): exactly half, a mistake.
    target = truth([1, 0], (0, 5), (1, 3), (-1, 2), crowd=[1])
    assert match_segments(prediction([0], (1, 10)), target) == {1: (0, 1, []), 0: (1, 0, [])}


def test_the_crowd_stays_in_the_union():
    # COCO's rule: void leaves the union, crowds do not. Prediction 1 on 0-9, segment 0 on 0-5, crowd on 6-9: 6 / 10.
    target = truth([0, 0], (0, 6), (1, 4), crowd=[1])
    assert match_segments(prediction([0], (1, 10)), target) == {0: (0, 0, [0.6])}


def test_pixels_without_a_prediction_and_listed_segments_without_pixels():
    assert match_segments(prediction([0, 1], (1, 8), (0, 2)), truth([0, 3], (0, 10))) == {0: (0, 0, [0.8])}


def test_what_does_not_fit():
    target = truth([0], (0, 10))
    with pytest.raises(MaskError, match=r"prediction has \(1, 9\) pixels and the ground truth \(1, 10\)"):
        match_segments(prediction([0], (1, 9)), target)
    with pytest.raises(MaskError, match="pixels of segment 2, which is not in its list"):
        match_segments(prediction([0], (1, 5), (2, 5)), target)
    # With -1 for no segment the pairs' numbers would be those of other pairs.
    with pytest.raises(MaskError, match="the panoptic map has the id -1; ids start at 1"):
        match_segments(prediction([0], (1, 5), (-1, 5)), target)
    with pytest.raises(MaskError, match="no two segments overlap"):
        match_segments(prediction([0], (1, 10)), Target.of_masks(np.ones((1, 1, 10), bool), [0]))


def test_sums_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    images = [{0: (1, 0, rng.random(5).tolist())} for _ in range(200)]
    one, other = (PanopticQuality.of(order, 1).iou_sums[0] for order in (images, images[::-1]))
    assert one == other == math.fsum(iou for image in images for iou in image[0][2])
