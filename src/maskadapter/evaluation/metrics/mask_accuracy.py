"""Names for the ground truth's own masks: what a model could reach if its proposals were perfect.

Source: paper, Figure 1 and Tables 3, 6, 7, 10. The official code names one mask for every class of an image and takes
the mIoU of the image that they paint; the accuracies are the same judgment without the weight of area.
"""

import math
from collections.abc import Callable

import numpy as np

from maskadapter.errors import MaskError
from maskadapter.results.classification import Classification
from maskadapter.types.target import Target

Classify = Callable[[np.ndarray, np.ndarray], Classification]
"""Image (H, W, 3) uint8 and masks (N, H, W) bool -> their names."""


def named_masks(classify: Classify, image: np.ndarray, target: Target) -> dict[str, list[list[int]]]:
    """Name the masks of one image: every segment, and all pixels of a class as one mask.

    Returns rows as ``semantic.confusion`` does, of true class, named class, and
    ``segments``: the number of segments; crowds and empty masks are left out;
    ``class_masks``: 1, for the one mask of each class, crowds included, as in the semantic labels;
    ``painted``: the pixels of that mask; no rows where masks may overlap, because a pixel has no one class there.
    Raises MaskError where ``classify`` does not give one name for every mask.
    """
    masks = target.masks()
    inside = masks.any(axis=(1, 2))
    alone = inside & ~target.is_crowd
    true, classes = target.classes[alone], np.unique(target.classes[inside])
    merged = [masks[inside & (target.classes == label)].any(axis=0) for label in classes]
    if not merged:
        return {"segments": [], "class_masks": [], "painted": []}
    # One call, so that the image is encoded once.
    named = classify(image, np.concatenate([masks[alone], np.stack(merged)])).labels
    if len(named) != len(true) + len(classes):
        raise MaskError(f"{len(true) + len(classes)} masks were given to be named and {len(named)} names came back")
    of_segments, of_classes = named[: len(true)], named[len(true) :]
    pairs, counts = np.unique(np.stack([true, of_segments], axis=1), axis=0, return_counts=True)
    areas = [int(mask.sum()) for mask in merged] if target.segment_ids is not None else []
    return {
        "segments": np.column_stack([pairs, counts]).tolist(),
        "class_masks": np.column_stack([classes, of_classes, np.ones_like(classes)]).tolist(),
        "painted": [list(row) for row in zip(classes.tolist(), of_classes.tolist(), areas, strict=False)],
    }


def accuracy(counts: np.ndarray, among: np.ndarray | None = None) -> float:
    """(3, K), what ``semantic.pixel_counts`` makes of the rows -> share of the masks with the right name, 0 to 1,
    of the classes ``among`` (K,) bool where given; NaN where there are none."""
    right, _, masks = counts if among is None else counts[:, among]
    return float(right.sum() / masks.sum()) if masks.sum() else math.nan
