"""Compute the metrics of semantic segmentation: count pixels, and take the means."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Literal

import numpy as np

from maskadapter.errors import MaskError

Convention = Literal["detectron2-main", "detectron2-0.6"]
"""Which classes the mean IoU is a mean of. Source of each: detectron2's ``SemSegEvaluator``, since 6 July 2022 and at
the tag v0.6. Predicted classes that are never in the ground truth count as 0 in the latter: on large vocabularies the
two differ by several points for the same predictions."""

CONVENTIONS: Mapping[Convention, str] = {
    "detectron2-main": "the classes in the ground truth",
    "detectron2-0.6": "the classes in the ground truth or in the predictions",
}


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count the pixels of each pair of classes in one image: (E, 3) int64, class, predicted class, pixels.

    predicted, labels: (H, W) integers, a class or -1; labels are the ground truth. Pixels whose label is not one of the
    ``classes`` are not counted; a prediction that is not one of them counts as class ``classes``, a false negative of
    the label's. Only pairs that occur are listed, in ascending order. Raises MaskError where the two differ in size.
    """
    if predicted.shape != labels.shape:
        raise MaskError(f"the prediction has {predicted.shape} pixels and the labels {labels.shape}")
    known = (labels >= 0) & (labels < classes)
    true, found = labels[known].astype(np.int64), predicted[known].astype(np.int64)
    found[(found < 0) | (found >= classes)] = classes
    pairs, pixels = np.unique(true * (classes + 1) + found, return_counts=True)
    return np.stack([pairs // (classes + 1), pairs % (classes + 1), pixels], axis=1)


def summed_confusion(confusions: Iterable[np.ndarray]) -> np.ndarray:
    """Add up ``confusion``'s arrays of many images: (E, 3) int64, each pair of classes once, in ascending order."""
    pairs, sums, rest = np.zeros(0, np.int64), np.zeros(0, np.int64), iter(confusions)
    while some := [np.asarray(one, dtype=np.int64).reshape(-1, 3) for one in islice(rest, 100)]:
        true, found, pixels = np.concatenate(some).T
        added = true << 32 | found  # both classes in one number
        before, counts = (pairs, added), (sums, pixels)
        pairs = np.union1d(*before)
        sums = np.zeros_like(pairs)
        for one, count in zip(before, counts, strict=True):
            np.add.at(sums, np.searchsorted(pairs, one), count)
    return np.stack([pairs >> 32, pairs & 0xFFFFFFFF, sums], axis=1)


def pixel_counts(confusions: Iterable[np.ndarray], classes: int) -> np.ndarray:
    """(3, K) int64 of ``confusion``'s arrays: pixels of each class in both, in the prediction, in the ground truth."""
    counts = np.zeros((3, classes), dtype=np.int64)
    for confused in confusions:
        true, found, pixels = np.asarray(confused, dtype=np.int64).reshape(-1, 3).T
        right, in_vocabulary = true == found, (found >= 0) & (found < classes)
        np.add.at(counts[0], true[right], pixels[right])
        np.add.at(counts[1], found[in_vocabulary], pixels[in_vocabulary])
        np.add.at(counts[2], true, pixels)
    return counts


def class_ious(counts: np.ndarray) -> np.ndarray:
    """(3, K) pixels -> (K,) IoU of every class, 0 to 1; NaN where the ground truth lacks it."""
    both, predicted, true = counts
    with np.errstate(invalid="ignore"):
        return np.where(true > 0, both / (predicted + true - both), np.nan)


def counted(counts: np.ndarray, convention: Convention = "detectron2-main") -> np.ndarray:
    """(3, K) pixels -> (K,) bool: the classes that the mean IoU is a mean of."""
    _, predicted, true = counts
    return (true > 0) if convention == "detectron2-main" else (true + predicted > 0)


def mean_iou(counts: np.ndarray, convention: Convention = "detectron2-main", among: np.ndarray | None = None) -> float:
    """(3, K) pixels -> mean IoU, 0 to 1, over the convention's classes in ``among`` (K,) bool; NaN without any."""
    chosen = counted(counts, convention) & (True if among is None else among)
    return float(np.nan_to_num(class_ious(counts)[chosen]).mean()) if chosen.any() else float("nan")


def semantic_scores(counts: np.ndarray, convention: Convention = "detectron2-main") -> dict[str, float]:
    """(3, K) pixels -> the metrics of detectron2's ``SemSegEvaluator``, each 0 to 1: ``mIoU``; ``fwIoU``, weighted by
    the pixels of the class; ``mACC``, the mean over the classes of the share of right pixels; ``pACC``, that of all."""
    both, _, true = counts
    present = true > 0
    if not present.any():
        return dict.fromkeys(("mIoU", "fwIoU", "mACC", "pACC"), float("nan"))
    return {
        "mIoU": mean_iou(counts, convention),
        "fwIoU": float((class_ious(counts)[present] * true[present]).sum() / true.sum()),
        "mACC": float((both[present] / true[present]).mean()),
        "pACC": float(both.sum() / true.sum()),
    }
