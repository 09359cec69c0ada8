"""Estimate the standard error of a metric over images by the bootstrap. Source: Efron 1979."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from maskadapter.evaluation.metrics.mask_accuracy import accuracy
from maskadapter.evaluation.metrics.semantic import Convention, mean_iou, pixel_counts
from maskadapter.evaluation.partition import Partition

RESAMPLES = 1_000
SEED = 0

# What a record holds for each metric, see ``mask_accuracy``.
_RECORDED = {"accuracy of segments": "segments", "accuracy of class masks": "class_masks", "mIoU": "painted"}
METRICS = tuple(_RECORDED)
"""Metrics that can be bootstrapped; each also with `` seen`` or `` unseen`` behind it."""


def image_counts(records: Iterable[Mapping[str, Any]], metric: str, classes: int) -> np.ndarray:
    """(P, 3, K) int64: ``semantic.pixel_counts`` of each of P records of ``evaluate``, as ``metric`` needs them."""
    name, _ = name_and_group(metric)
    confusions = (record["masks"][_RECORDED[name]] if "masks" in record else record["semantic"] for record in records)
    return np.stack([pixel_counts([one], classes) for one in confusions])


def metric_function(
    metric: str, partition: Partition | None = None, convention: Convention = "detectron2-main"
) -> Callable[[np.ndarray], float]:
    """Return the function that computes a metric, in percent, from (3, K) counts, as ``evaluate`` does. metric: one of
    ``METRICS``, alone or with `` seen`` or `` unseen`` behind it, the classes of ``partition``."""
    name, group = name_and_group(metric)
    among = partition.groups[group] if partition is not None and group else None
    return lambda counts: 100 * (mean_iou(counts, convention, among) if name == "mIoU" else accuracy(counts, among))


def bootstrap(
    counts: np.ndarray, metric: Callable[[np.ndarray], float], resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """(resamples,): the metric of random samples of the images, each of P images with replacement; the same samples for
    every call with P images, so that those of two predictors can be subtracted. NaN where a sample has nothing to
    measure, and everywhere for a single image. counts: (P, 3, K), see ``image_counts``."""
    if (images := len(counts)) < 2:
        return np.full(resamples, math.nan)
    times = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)
    # float64 is exact for whole numbers below 2^53, and matrix products of integers are slow.
    sums = times.astype(np.float64) @ counts.reshape(images, -1).astype(np.float64)
    return np.array([metric(one) for one in sums.reshape(resamples, *counts.shape[1:])])


def standard_error(samples: np.ndarray) -> float:
    """Standard deviation of what ``bootstrap`` returns; NaN where fewer than two samples have a value."""
    values = samples[~np.isnan(samples)]
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def name_and_group(metric: str) -> tuple[str, str]:
    """Split ``"mIoU seen"`` into the metric's name and its group of classes: seen, unseen or none, ""."""
    name, _, group = metric.rpartition(" ")
    return (name, group) if group in ("seen", "unseen") else (metric, "")
