"""Semantic segmentation: pixels counted, and the means made of them."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from maskadapter.errors import MaskError

Convention = Literal["detectron2-main", "detectron2-0.6"]
"""Which classes the mean IoU is a mean of. Every source is detectron2's ``SemSegEvaluator``.

``detectron2-main`` (since 6 July 2022; the paper's Table 1 follows it): the classes that the ground truth of the set holds.
``detectron2-0.6`` (the tag v0.6): also those that are predicted and that the ground truth never holds; they count as 0.
On large vocabularies the two differ by several points for the same predictions.
"""

CONVENTIONS: Mapping[Convention, str] = {
    "detectron2-main": "the classes that the ground truth holds",
    "detectron2-0.6": "the classes that the ground truth holds or that were predicted",
}


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """What was taken for what in one image: (E, 3) int64 rows of true class, predicted class, pixels.

    predicted, labels: (H, W) integers, a class or -1. Where the ground truth is none of the ``classes`` (-1, or any ignored
    value) nothing is counted; a prediction that is none of them is counted as class ``classes``: a missed pixel.
    Only pairs that occur have a row, in ascending order, so that 847 classes cost no more than what an image holds.
    Raises MaskError where the two are not of one size.
    """
    if predicted.shape != labels.shape:
        raise MaskError(f"the prediction has {predicted.shape} pixels and the labels {labels.shape}")
    known = (labels >= 0) & (labels < classes)
    true, taken = labels[known].astype(np.int64), predicted[known].astype(np.int64)
    taken[(taken < 0) | (taken >= classes)] = classes
    pairs, pixels = np.unique(true * (classes + 1) + taken, return_counts=True)
    return np.stack([pairs // (classes + 1), pairs % (classes + 1), pixels], axis=1)


def pixel_counts(confusions: Iterable[np.ndarray], classes: int) -> np.ndarray:
    """(3, K) int64: pixels of each class in both, in the prediction, in the ground truth; summed over rows of ``confusion``,
    which may also be those of many images, one after another."""
    counts = np.zeros((3, classes), dtype=np.int64)
    for rows in confusions:
        true, taken, pixels = np.asarray(rows, dtype=np.int64).reshape(-1, 3).T
        right, named = true == taken, taken < classes
        np.add.at(counts[0], true[right], pixels[right])
        np.add.at(counts[1], taken[named], pixels[named])
        np.add.at(counts[2], true, pixels)
    return counts


def class_ious(counts: np.ndarray) -> np.ndarray:
    """(3, K) pixels -> (K,) IoU of every class, 0 to 1; NaN where the ground truth does not hold it."""
    both, predicted, true = counts
    ious = np.full(len(true), np.nan)
    held = true > 0
    ious[held] = both[held] / (predicted + true - both)[held]
    return ious


def counted(counts: np.ndarray, convention: Convention = "detectron2-main") -> np.ndarray:
    """(3, K) pixels -> (K,) bool: the classes that the mean IoU is a mean of."""
    _, predicted, true = counts
    return (true > 0) if convention == "detectron2-main" else (true + predicted > 0)


def mean_iou(counts: np.ndarray, convention: Convention = "detectron2-main", among: np.ndarray | None = None) -> float:
    """(3, K) pixels -> mean IoU, 0 to 1, over the classes of the convention and, where given, ``among`` (K,) bool.

    NaN where there is no such class.
    """
    chosen = counted(counts, convention) & (True if among is None else among)
    return float(np.nan_to_num(class_ious(counts)[chosen]).mean()) if chosen.any() else float("nan")


def semantic_scores(counts: np.ndarray, convention: Convention = "detectron2-main") -> dict[str, float]:
    """(3, K) pixels -> the metrics of detectron2's ``SemSegEvaluator``, each 0 to 1.

    ``mIoU``; ``fwIoU``, the IoUs weighted by the pixels of the class in the ground truth; ``mACC``, the mean over the ground truth's
    classes of the share of their pixels that are right; ``pACC``, that share of all pixels.
    """
    both, _, true = counts
    held = true > 0
    if not held.any():
        return dict.fromkeys(("mIoU", "fwIoU", "mACC", "pACC"), float("nan"))
    return {
        "mIoU": mean_iou(counts, convention),
        "fwIoU": float((class_ious(counts)[held] * true[held]).sum() / true.sum()),
        "mACC": float((both[held] / true[held]).mean()),
        "pACC": float(both.sum() / true.sum()),
    }
