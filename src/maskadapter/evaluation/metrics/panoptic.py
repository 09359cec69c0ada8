"""Compute panoptic quality: match segments one to one and count those without a match. Source: Kirillov et al.,
Panoptic Segmentation, 2019; for void and crowds the COCO panoptic API (``pq_compute``)."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
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
"""A segment without a match is a false positive unless more of it lies on void or on crowds of its class."""


def match_segments(predicted: PanopticMap, target: Target) -> Matches:
    """Match the predicted segments of one image with those of its ground truth.

    Crowds match nothing and are never false negatives. Void, pixels without a ground-truth segment, is left out of the
    union of a pair. Predicted segments that cover no pixel are passed over. Raises MaskError where the two differ in
    size, the ground-truth masks overlap, an id is negative, or one that occurs is not listed.
    """
    if target.segment_ids is None:
        raise MaskError("panoptic quality needs a ground truth in which no two segments overlap")
    if predicted.ids.shape != target.size:
        raise MaskError(f"the prediction has {predicted.ids.shape} pixels and the ground truth {target.size}")
    if predicted.ids.min() < 0:
        raise MaskError(f"the panoptic map has the id {predicted.ids.min()}; ids start at 1, and 0 stands for none")
    label_of = {segment.id: segment.label for segment in predicted.segments}
    span = int(predicted.ids.max()) + 1
    # One number for each pair of segments; 0 is void in the ground truth and no segment in the prediction.
    pairs, pixels = np.unique((target.segment_ids.astype(np.int64) + 1) * span + predicted.ids, return_counts=True)
    shared = {divmod(int(pair), span): int(count) for pair, count in zip(pairs, pixels, strict=True)}
    true_area: Counter[int] = Counter()
    found_area: Counter[int] = Counter()
    for (true, found), intersection in shared.items():
        true_area[true] += intersection
        found_area[found] += intersection
    true_left, found_left = true_area.keys() - {0}, found_area.keys() - {0}
    if unknown := found_left - label_of.keys():
        raise MaskError(f"the panoptic map has pixels of segment {min(unknown)}, which is not in its list")

    ious: dict[int, list[float]] = defaultdict(list)
    ignored: Counter[int] = Counter()  # pixels of each predicted segment on void and on crowds of its class
    for (true, found), intersection in shared.items():
        if not found or (true and target.classes[true - 1] != label_of[found]):
            continue
        if not true or target.is_crowd[true - 1]:
            ignored[found] += intersection
            continue
        iou = intersection / (true_area[true] + found_area[found] - intersection - shared.get((0, found), 0))
        if iou > MATCH_IOU:
            ious[label_of[found]].append(iou)
            true_left.remove(true)
            found_left.remove(found)
    negatives = Counter(int(target.classes[true - 1]) for true in true_left if not target.is_crowd[true - 1])
    positives = Counter(label_of[one] for one in found_left if ignored[one] / found_area[one] <= MAX_IGNORED)
    labels = sorted({*ious, *negatives, *positives})
    return {label: (positives[label], negatives[label], ious.get(label, [])) for label in labels}


@dataclass(frozen=True)
class PanopticQuality:
    """The sums of many images for each of K classes: counts (K,) int64; iou_sums (K,) float64, of true positives."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    iou_sums: np.ndarray

    @classmethod
    def of(cls, images: Iterable[Matches], classes: int) -> "PanopticQuality":
        """Add up the images, in any order: the sums of IoUs are rounded once."""
        false_positives, false_negatives = np.zeros((2, classes), np.int64)
        ious: list[list[float]] = [[] for _ in range(classes)]
        for image in images:
            for label, (positives, negatives, matched) in image.items():
                false_positives[label] += positives
                false_negatives[label] += negatives
                ious[label] += matched
        true_positives, iou_sums = np.array([*map(len, ious)], np.int64), np.array([*map(math.fsum, ious)])
        return cls(true_positives, false_positives, false_negatives, iou_sums)

    @property
    def counted(self) -> np.ndarray:
        """(K,) bool: classes with a segment in the ground truth or in the predictions; the means are over these."""
        return (self.true_positives + self.false_positives + self.false_negatives) > 0

    def per_class(self) -> np.ndarray:
        """(3, K), 0 to 1, 0 where a class is not counted: PQ, the product of the others; SQ, the mean IoU of matches;
        RQ, the F1 score of finding segments."""
        denominator = np.maximum(self.true_positives + (self.false_positives + self.false_negatives) / 2, 0.5)
        segmented = self.iou_sums / np.maximum(self.true_positives, 1)
        return np.stack([self.iou_sums / denominator, segmented, self.true_positives / denominator])

    def mean(self, among: np.ndarray) -> tuple[float, float, float]:
        """PQ, SQ and RQ, each the mean over the counted classes ``among`` (K,) bool; NaN without such a class."""
        chosen = self.counted & among
        if not chosen.any():
            return (math.nan,) * 3
        pq, sq, rq = (float(row[chosen].mean()) for row in self.per_class())
        return pq, sq, rq
