"""Panoptic quality: segments matched one to one, and what is left over.

Source: Kirillov et al., Panoptic Segmentation, 2019; for void and crowds the COCO panoptic API (``pq_compute``).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from maskadapter.errors import MaskError
from maskadapter.results.postprocessing import PanopticMap
from maskadapter.types.target import Target

Matches = dict[int, tuple[int, int, list[float]]]
"""Of one image: class -> false positives, false negatives, IoU of every true positive."""

MATCHED = 0.5
"""A pair of one class is a match where its IoU is larger: then no segment can have two."""

MOSTLY_IGNORED = 0.5
"""A segment without a match is no mistake where a larger share of it lies on void or on crowds of its class."""


def match_segments(predicted: PanopticMap, target: Target) -> Matches:
    """Matches of one image.

    Crowds match nothing and are not missed. Void, the pixels without a segment in the ground truth, is left out of the union
    of a pair. Predicted segments that cover no pixel are passed over.
    Raises MaskError where the two are not of one size, the ground-truth masks overlap, or an id is negative.
    """
    if target.segment_ids is None:
        raise MaskError("panoptic quality needs a truth in which no two segments overlap")
    if predicted.ids.shape != target.size:
        raise MaskError(f"the prediction has {predicted.ids.shape} pixels and the ground truth {target.size}")
    if predicted.ids.min() < 0:
        raise MaskError(f"the panoptic map has the id {predicted.ids.min()}; 0 is no segment, and ids are above it")
    label_of = {segment.id: segment.label for segment in predicted.segments}
    span = int(predicted.ids.max()) + 1
    # One number for each pair of segments; row 0 is void, column 0 no prediction.
    pairs, pixels = np.unique((target.segment_ids.astype(np.int64) + 1) * span + predicted.ids, return_counts=True)
    shared = {divmod(int(pair), span): int(count) for pair, count in zip(pairs, pixels, strict=True)}
    true_area, taken_area = _sums(shared, 0), _sums(shared, 1)
    unknown = taken_area.keys() - label_of.keys() - {0}
    if unknown:
        raise MaskError(f"the panoptic map has pixels of segment {min(unknown)}, which is not in its list")

    matches: Matches = {}
    ignored = dict.fromkeys(taken_area, 0)  # pixels of each predicted segment on void and on crowds of its class
    matched: set[tuple[int, int]] = set()  # (axis, segment)
    for (true, taken), intersection in shared.items():
        if not taken:
            continue
        label = label_of[taken]
        if not true or (target.is_crowd[true - 1] and target.classes[true - 1] == label):
            ignored[taken] += intersection
        elif not target.is_crowd[true - 1] and target.classes[true - 1] == label:
            union = true_area[true] + taken_area[taken] - intersection - shared.get((0, taken), 0)
            if intersection / union > MATCHED:
                _counts(matches, label)[2].append(intersection / union)
                matched |= {(0, true), (1, taken)}
    for true in true_area.keys() - {0}:
        if not target.is_crowd[true - 1] and (0, true) not in matched:
            _add(matches, int(target.classes[true - 1]), missed=1)
    for taken in taken_area.keys() - {0}:
        if (1, taken) not in matched and ignored[taken] / taken_area[taken] <= MOSTLY_IGNORED:
            _add(matches, label_of[taken], surplus=1)
    return matches


@dataclass(frozen=True)
class PanopticQuality:
    """What the matches of many images add up to, for each of K classes.

    positives, surplus, missed: (K,) int64, true positives, false positives, false negatives. iou_sums: (K,) float64,
    sum of the true positives' IoU.
    """

    positives: np.ndarray
    surplus: np.ndarray
    missed: np.ndarray
    iou_sums: np.ndarray

    @classmethod
    def of(cls, images: Iterable[Mapping[int, tuple[int, int, list[float]]]], classes: int) -> "PanopticQuality":
        """The sums do not depend on the order of the images: those of IoUs are rounded once."""
        surplus, missed = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
        ious: list[list[float]] = [[] for _ in range(classes)]
        for image in images:
            for label, (false_positives, false_negatives, matched) in image.items():
                surplus[label] += false_positives
                missed[label] += false_negatives
                ious[label] += matched
        positives = np.array([len(matched) for matched in ious], np.int64)
        return cls(positives, surplus, missed, np.array([math.fsum(matched) for matched in ious]))

    @property
    def counted(self) -> np.ndarray:
        """(K,) bool: classes with a segment in the ground truth or in the predictions; the others take no part in means."""
        return (self.positives + self.surplus + self.missed) > 0

    def per_class(self) -> np.ndarray:
        """(3, K): PQ, SQ and RQ of every class, 0 to 1; 0 where it is not counted. SQ is the mean IoU of the matches,
        RQ the F1 score of finding segments, and PQ their product."""
        denominator = np.maximum(self.positives + (self.surplus + self.missed) / 2, 0.5)
        segmented = self.iou_sums / np.maximum(self.positives, 1)
        return np.stack([self.iou_sums / denominator, segmented, self.positives / denominator])

    def mean(self, among: np.ndarray) -> tuple[float, float, float]:
        """PQ, SQ and RQ, each the mean over the counted classes ``among`` (K,) bool; NaN where there is none."""
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


def _add(matches: Matches, label: int, surplus: int = 0, missed: int = 0) -> None:
    false_positives, false_negatives, ious = _counts(matches, label)
    matches[label] = (false_positives + surplus, false_negatives + missed, ious)
