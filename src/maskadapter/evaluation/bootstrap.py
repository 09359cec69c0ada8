"""How far a number would move with other images of the same kind: the bootstrap."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from maskadapter.evaluation.metrics.mask_accuracy import accuracy
from maskadapter.evaluation.metrics.semantic import Convention, mean_iou, pixel_counts
from maskadapter.evaluation.partition import Split

DRAWS = 1_000
SEED = 0

# What a record holds of each measure, see ``mask_accuracy``.
_ROWS = {"accuracy of segments": "segments", "accuracy of class masks": "class_masks", "mIoU": "painted"}

METRICS = tuple(_ROWS)
"""What there is a spread of; each also with `` seen`` or `` unseen`` after it."""


def image_counts(records: Iterable[Mapping[str, Any]], metric: str, classes: int) -> np.ndarray:
    """(P, 3, K) int64: ``semantic.pixel_counts`` of every image alone.

    records: of ``evaluate``, in the order of the images. measure: a name that ``number_of`` takes. classes: K.
    """
    name, _ = parted(metric)
    rows = (record["masks"][_ROWS[name]] if "masks" in record else record["semantic"] for record in records)
    return np.stack([pixel_counts([one], classes) for one in rows])


def number_of(
    metric: str, split: Split | None = None, convention: Convention = "detectron2-main"
) -> Callable[[np.ndarray], float]:
    """What makes a measure, in percent, of (3, K) counts: one of ``MEASURES``, alone or with `` seen`` or `` unseen``
    after it, of the classes of ``split``. convention: of the mIoU. As ``evaluate`` makes it."""
    name, group = parted(metric)
    among = split.groups[group] if split is not None and group else None
    if name == "mIoU":
        return lambda counts: 100 * mean_iou(counts, convention, among)
    return lambda counts: 100 * accuracy(counts, among)


def draws_of(
    counts: np.ndarray, number: Callable[[np.ndarray], float], draws: int = DRAWS, seed: int = SEED
) -> np.ndarray:
    """The number of random draws of images, each of as many as there are, with replacement.

    counts: (P, 3, K), see ``image_counts``. Returns (draws,); NaN where a draw has nothing to measure, and of one
    image, which says nothing of others. The draws are the same for every P images, so that those of two rows can be
    subtracted.
    Source: Efron 1979.
    """
    images = len(counts)
    if images < 2:
        return np.full(draws, math.nan)
    times = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=draws)
    # Whole numbers below 2^53, to the last digit, and matrix products of integers are slow.
    sums = times.astype(np.float64) @ counts.reshape(images, -1).astype(np.float64)
    return np.array([number(one) for one in sums.reshape(draws, *counts.shape[1:])])


def standard_error(draws: np.ndarray) -> float:
    """Standard deviation of the draws; NaN where fewer than two have a number."""
    held = draws[~np.isnan(draws)]
    return float(held.std(ddof=1)) if len(held) > 1 else math.nan


def parted(metric: str) -> tuple[str, str]:
    """Its name, and the group of classes: seen, unseen or none."""
    name, _, group = metric.rpartition(" ")
    return (name, group) if group in ("seen", "unseen") else (metric, "")
