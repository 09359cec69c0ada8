"""Compute panoptic quality: match segments one to one and count those without a match.

Source: Kirillov et al., Panoptic Segmentation, 2019; for void and crowds the COCO panoptic API (``pq_compute``).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from maskadapter.errors import MaskError
from maskadapter.results import PanopticMap
from maskadapter.types import Target

Matches = dict[int, tuple[int, int, list[float]]]
"""Of one image: class -> number of false positives, number of false negatives, IoU of every true positive."""

MATCH_IOU = 0.5
"""Two segments of one class match where their IoU is larger: then no segment can have two matches."""

MAX_IGNORED = 0.5
"""A predicted segment without a match is a false positive unless a larger share of it lies on void or on crowds of its
class."""


def match_segments(predicted: PanopticMap, target: Target) -> Matches:
    """Match the predicted segments of one image with those of its ground truth.

    Crowds match nothing and are never false negatives. Void, the pixels without a segment in the ground truth, is left
    out of the union of a pair. Predicted segments that cover no pixel are passed over.
    Raises MaskError where the two differ in size, the ground-truth masks overlap, or an id is negative.
    """
    if target.segment_ids is None:
        raise MaskError("panoptic quality needs a ground truth in which no two segments overlap")
    if predicted.ids.shape != target.size:
        raise MaskError(f"the prediction has {predicted.ids.shape} pixels and the ground truth {target.size}")
    if predicted.ids.min() < 0:
        raise MaskError(f"the panoptic map has the id {predicted.ids.min()}; ids start at 1, and 0 is no segment")
    label_of = {segment.id: segment.label for segment in predicted.segments}
    span = int(predicted.ids.max()) + 1
    # One number for each pair of segments; 0 is void in the ground truth and no segment in the prediction.
    pairs, pixels = np.unique((target.segment_ids.astype(np.int64) + 1) * span + predicted.ids, return_counts=True)
    shared = {divmod(int(pair), span): int(count) for pair, count in zip(pairs, pixels, strict=True)}
    true_area, predicted_area = _sums(shared, 0), _sums(shared, 1)
    unknown = predicted_area.keys() - label_of.keys() - {0}
    if unknown:
        raise MaskError(f"the panoptic map has pixels of segment {min(unknown)}, which is not in its list")

    matches: Matches = {}
    ignored = dict.fromkeys(predicted_area, 0)  # pixels of each predicted segment on void and on crowds of its class
    matched: set[tuple[int, int]] = set()  # (axis, segment)
    for (true, found), intersection in shared.items():
        if not found:
            continue
        label = label_of[found]
        if not true or (target.is_crowd[true - 1] and target.classes[true - 1] == label):
            ignored[found] += intersection
        elif not target.is_crowd[true - 1] and target.classes[true - 1] == label:
            union = true_area[true] + predicted_area[found] - intersection - shared.get((0, found), 0)
            if intersection / union > MATCH_IOU:
                _counts(matches, label)[2].append(intersection / union)
                matched |= {(0, true), (1, found)}
    for true in true_area.keys() - {0}:
        if not target.is_crowd[true - 1] and (0, true) not in matched:
            _add(matches, int(target.classes[true - 1]), false_negatives=1)
    for found in predicted_area.keys() - {0}:
        if (1, found) not in matched and ignored[found] / predicted_area[found] <= MAX_IGNORED:
            _add(matches, label_of[found], false_positives=1)
    return matches


@dataclass(frozen=True)
class PanopticQuality:
    """The sums of the matches of many images, for each of K classes.

    true_positives, false_positives, false_negatives: (K,) int64. iou_sums: (K,) float64, sum of the true positives'
    IoU.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    iou_sums: np.ndarray

    @classmethod
    def of(cls, images: Iterable[Mapping[int, tuple[int, int, list[float]]]], classes: int) -> "PanopticQuality":
        """Add up ``Matches``. The sums do not depend on the order of the images: those of IoUs are rounded once."""
        false_positives, false_negatives = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
        ious: list[list[float]] = [[] for _ in range(classes)]
        for image in images:
            for label, (positives, negatives, matched) in image.items():
                false_positives[label] += positives
                false_negatives[label] += negatives
                ious[label] += matched
        true_positives = np.array([len(matched) for matched in ious], np.int64)
        iou_sums = np.array([math.fsum(matched) for matched in ious])
        return cls(true_positives, false_positives, false_negatives, iou_sums)

    @property
    def counted(self) -> np.ndarray:
        """(K,) bool: classes with a segment in the ground truth or in the predictions; the means are over these."""
        return (self.true_positives + self.false_positives + self.false_negatives) > 0

    def per_class(self) -> np.ndarray:
        """(3, K): PQ, SQ and RQ of every class, 0 to 1; 0 where it is not counted. SQ is the mean IoU of the matches,
        RQ the F1 score of finding segments, and PQ their product."""
        errors = self.false_positives + self.false_negatives
        denominator = np.maximum(self.true_positives + errors / 2, 0.5)
        segmented = self.iou_sums / np.maximum(self.true_positives, 1)
        return np.stack([self.iou_sums / denominator, segmented, self.true_positives / denominator])

    def mean(self, among: np.ndarray) -> tuple[float, float, float]:
        """PQ, SQ and RQ, each the mean over the counted classes ``among`` (K,) bool; NaN without such a class."""
        chosen = self.counted & among
        if not chosen.any():
            return (math.nan,) * 3
        quality, segmented, recognized = (float(row[chosen].mean()) for row in self.per_class())
        return quality, segmented, recognized


def _sums(shared: Mapping[tuple[int, int], int], axis: int) -> dict[int, int]:
    """Area of every segment of the ground truth (axis 0) or of the prediction (axis 1)."""
    areas: dict[int, int] = {}
    for pair, pixels in shared.items():
        areas[pair[axis]] = areas.get(pair[axis], 0) + pixels
    return areas


def _counts(matches: Matches, label: int) -> tuple[int, int, list[float]]:
    return matches.setdefault(label, (0, 0, []))


def _add(matches: Matches, label: int, false_positives: int = 0, false_negatives: int = 0) -> None:
    positives, negatives, ious = _counts(matches, label)
    matches[label] = (positives + false_positives, negatives + false_negatives, ious)
