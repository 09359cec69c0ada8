"""Classify the ground-truth masks: the score of a model with perfect proposals. Source: paper, Figure 1 and Tables 3,
6, 7, 10. The official code classifies one mask for every class of an image and takes the mIoU of the label map that
they paint; the accuracies count every mask once, whatever its area."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from maskadapter.errors import MaskError
from maskadapter.types import Target

if TYPE_CHECKING:  # the sums of the counts do not wait for PyTorch
    from maskadapter.results import Classification

Classify = Callable[[np.ndarray, np.ndarray], "Classification"]
"""Image (H, W, 3) uint8 and masks (N, H, W) bool -> their classes."""


def classify_masks(classify: Classify, image: np.ndarray, target: Target) -> dict[str, list[list[int]]]:
    """Classify the ground-truth masks of one image: every segment, and all pixels of a class as one mask.

    Returns lists of [class, predicted class, count], as ``semantic.confusion`` does. ``segments``: the count is that of
    segments without crowds and empty masks; ``class_masks``: 1, for the one mask of each class, crowds included;
    ``painted``: the pixels of that mask; empty where masks may overlap, because a pixel has no one class there.
    Raises MaskError where ``classify`` does not return one class for every mask.
    """
    masks = target.masks()
    not_empty = masks.any(axis=(1, 2))
    alone = not_empty & ~target.is_crowd
    true, classes = target.classes[alone], np.unique(target.classes[not_empty])
    merged = [masks[not_empty & (target.classes == label)].any(axis=0) for label in classes]
    if not merged:
        return {"segments": [], "class_masks": [], "painted": []}
    # One call, so that the image is encoded once.
    predicted = classify(image, np.concatenate([masks[alone], np.stack(merged)])).labels
    if len(predicted) != len(true) + len(classes):
        raise MaskError(f"{len(true) + len(classes)} masks were given and {len(predicted)} classes came back")
    of_segments, of_classes = predicted[: len(true)], predicted[len(true) :]
    pairs, counts = np.unique(np.stack([true, of_segments], axis=1), axis=0, return_counts=True)
    areas = [int(mask.sum()) for mask in merged] if target.segment_ids is not None else []
    return {
        "segments": np.column_stack([pairs, counts]).tolist(),
        "class_masks": np.column_stack([classes, of_classes, np.ones_like(classes)]).tolist(),
        "painted": [list(row) for row in zip(classes.tolist(), of_classes.tolist(), areas, strict=False)],
    }


def accuracy(counts: np.ndarray, among: np.ndarray | None = None) -> float:
    """Share of the masks of the classes ``among`` (K,) bool with the right class, 0 to 1; NaN without masks. counts:
    (3, K), ``semantic.pixel_counts`` of masks instead of pixels."""
    right, _, masks = counts if among is None else counts[:, among]
    return float(right.sum() / masks.sum()) if masks.sum() else math.nan
