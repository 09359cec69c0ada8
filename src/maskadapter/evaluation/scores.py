"""Compute the metrics of a data set from the records of its images."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskadapter.evaluation.metrics import semantic
from maskadapter.evaluation.metrics.instance import average_precision
from maskadapter.evaluation.metrics.mask_accuracy import accuracy
from maskadapter.evaluation.metrics.panoptic import PanopticQuality
from maskadapter.evaluation.metrics.semantic import Convention, mean_iou, pixel_counts, summed_confusion
from maskadapter.evaluation.partition import Partition
from maskadapter.vocabulary import Vocabulary

Read = Callable[[], Iterator[dict[str, Any]]]
"""All records from the first, in the order of the images. Called once for each metric: they are not kept."""


@dataclass(frozen=True)
class Scores:
    """numbers: percent, by name. counts: how many pixels, segments and classes they are computed from. per_class: (K,)
    by name: percent or NaN, or whole numbers of pixels or segments. confused: by what is counted, "pixels" or
    "segments", (E, 3) int64: class, predicted class (K for none), count."""

    read: Read
    vocabulary: Vocabulary
    convention: Convention
    partition: Partition | None
    numbers: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    per_class: dict[str, np.ndarray] = field(default_factory=dict)
    confused: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, np.ndarray]:
        return self.partition.groups if self.partition else {}

    def add_semantic(self) -> None:
        self._add_pixels(summed_confusion(record["semantic"] for record in self.read()))

    def _add_pixels(self, confused: np.ndarray) -> None:
        self.confused["pixels"], counts = confused, pixel_counts([confused], len(self.vocabulary))
        scores = semantic.semantic_scores(counts, self.convention)
        self.numbers.update({name: 100 * value for name, value in scores.items()})
        other: Convention = "detectron2-0.6" if self.convention == "detectron2-main" else "detectron2-main"
        self.numbers[f"mIoU by {other}"] = 100 * mean_iou(counts, other)
        chosen, (both, predicted, true) = semantic.counted(counts, self.convention), counts
        self.counts["labeled pixels"] = int(true.sum())
        self.counts["classes in the ground truth"] = int((true > 0).sum())
        self.counts["classes predicted and not in the ground truth"] = int(((true == 0) & (predicted > 0)).sum())
        self.counts["classes that mIoU is the mean of"] = int(chosen.sum())
        for name, among in self.groups.items():
            self.numbers[f"mIoU {name}"] = 100 * mean_iou(counts, self.convention, among)
            self.counts[f"of them {name}"] = int((chosen & among).sum())
        self.per_class["IoU"] = 100 * semantic.class_ious(counts)
        with np.errstate(invalid="ignore"):
            self.per_class.update({"pixel accuracy": 100 * both / true, "precision": 100 * both / predicted})
        self.per_class["pixels"] = true

    def add_panoptic(self) -> None:
        images = ({int(label): match for label, match in record["panoptic"].items()} for record in self.read())
        quality = PanopticQuality.of(images, len(self.vocabulary))
        things = np.array(self.vocabulary.is_thing, dtype=bool)
        for name, among in {"": np.ones_like(things), " things": things, " stuff": ~things}.items():
            for metric, value in zip(("PQ", "SQ", "RQ"), quality.mean(among), strict=True):
                self.numbers[metric + name] = 100 * value
        for name, among in self.groups.items():
            self.numbers[f"PQ {name}"] = 100 * quality.mean(among)[0]
        self.counts["true positive segments"] = int(quality.true_positives.sum())
        self.counts["false positive segments"] = int(quality.false_positives.sum())
        self.counts["false negative segments"] = int(quality.false_negatives.sum())
        self.counts["classes that PQ is the mean of"] = int(quality.counted.sum())
        self.per_class["PQ"] = np.where(quality.counted, 100 * quality.per_class()[0], math.nan)

    def add_instance(self) -> None:
        images = (
            (one["index"], one["size"], one["instance"]["ground_truth"], one["instance"]["predicted"])
            for one in self.read()
        )
        numbers, per_class = average_precision(images, self.vocabulary.is_thing)
        self.numbers.update({name: 100 * value for name, value in numbers.items()})
        for name, among in self.groups.items():
            chosen = per_class[among & ~np.isnan(per_class)]
            self.numbers[f"AP {name}"] = 100 * float(chosen.mean()) if len(chosen) else math.nan
        self.counts["classes that AP is the mean of"] = int((~np.isnan(per_class)).sum())
        self.per_class["AP"] = 100 * per_class

    def add_masks(self) -> None:
        for name in ("segments", "class masks"):
            confused = self._confused_masks(name.replace(" ", "_"))
            counts = pixel_counts([confused], len(self.vocabulary))
            self.numbers[f"accuracy of {name}"] = 100 * accuracy(counts)
            for group, among in self.groups.items():
                self.numbers[f"accuracy of {name} {group}"] = 100 * accuracy(counts, among)
            self.counts[name] = int(counts[2].sum())
            with np.errstate(invalid="ignore"):
                self.per_class[f"accuracy of {name}"] = 100 * counts[0] / counts[2]
            if name == "segments":
                self.confused[name], self.per_class[name] = confused, counts[2]
        painted = self._confused_masks("painted")
        if len(painted):  # not where masks may overlap
            self._add_pixels(painted)

    def _confused_masks(self, recorded: str) -> np.ndarray:
        return summed_confusion(record["masks"][recorded] for record in self.read())


def scores_of(
    read: Read, metrics: tuple[str, ...], vocabulary: Vocabulary, convention: Convention, partition: Partition | None
) -> Scores:
    """Compute every number of the ``metrics``: ``semantic``, ``panoptic``, ``instance``, ``masks``. Sums are of whole
    numbers or rounded once: they depend neither on the order of the images nor on the processes."""
    scores = Scores(read, vocabulary, convention, partition)
    for metric in metrics:
        getattr(scores, f"add_{metric}")()
    return scores
