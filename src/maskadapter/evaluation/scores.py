"""Compute the metrics of a data set from the records of its images."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskadapter.evaluation.metrics.instance import average_precision
from maskadapter.evaluation.metrics.mask_accuracy import accuracy
from maskadapter.evaluation.metrics.panoptic import PanopticQuality
from maskadapter.evaluation.metrics.semantic import (
    Convention,
    class_ious,
    counted,
    mean_iou,
    pixel_counts,
    semantic_scores,
)
from maskadapter.evaluation.partition import Partition
from maskadapter.vocabulary import Vocabulary

Read = Callable[[], Iterator[dict[str, Any]]]
"""All records from the first, in the order of the images. Called once for each metric: they are not kept."""


@dataclass(frozen=True)
class Scores:
    """numbers: percent, by name. counts: how many pixels, segments and classes they are computed from. per_class: (K,)
    percent or NaN, by name."""

    numbers: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    per_class: dict[str, np.ndarray] = field(default_factory=dict)


def scores_of(
    read: Read, metrics: tuple[str, ...], vocabulary: Vocabulary, convention: Convention, partition: Partition | None
) -> Scores:
    """Compute every number of the ``metrics``: ``semantic``, ``panoptic``, ``instance``, ``masks``.

    All sums are of whole numbers or rounded once, so that they depend neither on the order of the images nor on the
    number of processes.
    """
    scores = Scores()
    for metric in metrics:
        _METRICS[metric](scores, read, vocabulary, convention, partition)
    return scores


def _semantic(
    scores: Scores, read: Read, vocabulary: Vocabulary, convention: Convention, partition: Partition | None
) -> None:
    _pixels(scores, pixel_counts((record["semantic"] for record in read()), len(vocabulary)), convention, partition)


def _pixels(scores: Scores, counts: np.ndarray, convention: Convention, partition: Partition | None) -> None:
    scores.numbers.update(_percent(semantic_scores(counts, convention)))
    other: Convention = "detectron2-0.6" if convention == "detectron2-main" else "detectron2-main"
    scores.numbers[f"mIoU by {other}"] = 100 * mean_iou(counts, other)
    chosen, (_, predicted, true) = counted(counts, convention), counts
    scores.counts["labeled pixels"] = int(true.sum())
    scores.counts["classes in the ground truth"] = int((true > 0).sum())
    scores.counts["classes predicted and not in the ground truth"] = int(((true == 0) & (predicted > 0)).sum())
    scores.counts["classes that mIoU is the mean of"] = int(chosen.sum())
    for name, among in partition.groups.items() if partition else ():
        scores.numbers[f"mIoU {name}"] = 100 * mean_iou(counts, convention, among)
        scores.counts[f"of them {name}"] = int((chosen & among).sum())
    scores.per_class["IoU"] = 100 * class_ious(counts)


def _panoptic(
    scores: Scores, read: Read, vocabulary: Vocabulary, convention: Convention, partition: Partition | None
) -> None:
    images = ({int(label): match for label, match in record["panoptic"].items()} for record in read())
    quality = PanopticQuality.of(images, len(vocabulary))
    things = np.array(vocabulary.is_thing, dtype=bool)
    groups = {"": np.ones_like(things), " things": things, " stuff": ~things}
    for name, among in groups.items():
        for metric, value in zip(("PQ", "SQ", "RQ"), quality.mean(among), strict=True):
            scores.numbers[metric + name] = 100 * value
    for name, among in partition.groups.items() if partition else ():
        scores.numbers[f"PQ {name}"] = 100 * quality.mean(among)[0]
    scores.counts["true positive segments"] = int(quality.true_positives.sum())
    scores.counts["false positive segments"] = int(quality.false_positives.sum())
    scores.counts["false negative segments"] = int(quality.false_negatives.sum())
    scores.counts["classes that PQ is the mean of"] = int(quality.counted.sum())
    scores.per_class["PQ"] = np.where(quality.counted, 100 * quality.per_class()[0], math.nan)


def _instance(
    scores: Scores, read: Read, vocabulary: Vocabulary, convention: Convention, partition: Partition | None
) -> None:
    images = (
        (record["index"], tuple(record["size"]), record["instance"]["ground_truth"], record["instance"]["predicted"])
        for record in read()
    )
    numbers, per_class = average_precision(images, vocabulary.is_thing)
    scores.numbers.update(_percent(numbers))
    for name, among in partition.groups.items() if partition else ():
        chosen = per_class[among & ~np.isnan(per_class)]
        scores.numbers[f"AP {name}"] = 100 * float(chosen.mean()) if len(chosen) else math.nan
    scores.counts["classes that AP is the mean of"] = int((~np.isnan(per_class)).sum())
    scores.per_class["AP"] = 100 * per_class


def _masks(
    scores: Scores, read: Read, vocabulary: Vocabulary, convention: Convention, partition: Partition | None
) -> None:
    for recorded, name in (("segments", "segments"), ("class_masks", "class masks")):
        counts = pixel_counts((record["masks"][recorded] for record in read()), len(vocabulary))
        scores.numbers[f"accuracy of {name}"] = 100 * accuracy(counts)
        for group, among in partition.groups.items() if partition else ():
            scores.numbers[f"accuracy of {name} {group}"] = 100 * accuracy(counts, among)
        scores.counts[name] = int(counts[2].sum())
        with np.errstate(invalid="ignore"):
            scores.per_class[f"accuracy of {name}"] = 100 * counts[0] / counts[2]
    painted = pixel_counts((record["masks"]["painted"] for record in read()), len(vocabulary))
    if painted[2].any():  # not where masks may overlap
        _pixels(scores, painted, convention, partition)


_METRICS = {"semantic": _semantic, "panoptic": _panoptic, "instance": _instance, "masks": _masks}


def _percent(numbers: dict[str, float]) -> dict[str, float]:
    return {name: 100 * value for name, value in numbers.items()}
