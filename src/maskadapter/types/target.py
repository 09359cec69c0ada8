"""The ground truth of one image: its segments and their classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskadapter.errors import MaskError

UNLABELED = -1
"""Value of pixels without a class or a segment; metrics and losses ignore them."""


@dataclass(frozen=True, eq=False)
class Target:
    """N segments of an image and their classes, as a map (no two overlap) or as masks of their own (they may).

    classes: (N,) int64, index of each segment's class in the data set's vocabulary.
    is_crowd: (N,) bool, segments that stand for many things at once; evaluation and training pass over them.
    segment_ids: (H, W) int32, the number of the segment (0 to N - 1) at every pixel, or UNLABELED; None where
        ``overlapping`` is given. Of a semantic data set, one segment is all that one class covers.
    overlapping: (N, H, W) bool, or None.
    Raises MaskError where the shapes do not fit together or a number lies outside of its range."""

    classes: np.ndarray
    is_crowd: np.ndarray
    segment_ids: np.ndarray | None = None
    overlapping: np.ndarray | None = None

    def __post_init__(self) -> None:
        count, ids, masks = len(self.classes), self.segment_ids, self.overlapping
        if len(self.is_crowd) != count:
            raise MaskError(f"is_crowd has {len(self.is_crowd)} flags for {count} segments")
        if (ids is None) == (masks is None):
            raise MaskError("a target has either a map of segments or masks that may overlap")
        if ids is not None and ids.ndim != 2:
            raise MaskError(f"segment_ids has shape {ids.shape}; (H, W) is needed")
        if ids is not None and ids.size and not UNLABELED <= ids.min() <= ids.max() < count:
            raise MaskError(f"segment_ids names segments that are not among the {count}")
        if masks is not None and (masks.ndim != 3 or len(masks) != count):
            raise MaskError(f"overlapping has shape {masks.shape}; ({count}, H, W) is needed")

    @classmethod
    def of_labels(cls, labels: np.ndarray) -> "Target":
        """From the class of every pixel, (H, W) integers, UNLABELED or any other negative where there is none."""
        classes, ids = np.unique(labels, return_inverse=True)
        negative = int((classes < 0).sum())
        ids = np.maximum(ids.reshape(labels.shape) - negative, UNLABELED).astype(np.int32)
        classes = classes[negative:].astype(np.int64)
        return cls(classes, np.zeros(len(classes), dtype=bool), ids)

    @classmethod
    def of_masks(cls, masks: np.ndarray, classes: Sequence[int] | np.ndarray) -> "Target":
        """From masks (N, H, W) bool that may overlap, and their N classes; none is a crowd."""
        classes = np.asarray(classes, dtype=np.int64).reshape(-1)
        return cls(classes, np.zeros(len(classes), dtype=bool), overlapping=masks)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        array = self.segment_ids if self.segment_ids is not None else self.overlapping
        assert array is not None
        return array.shape[-2], array.shape[-1]

    @property
    def has_masks(self) -> bool:
        """Whether a segment that is not a crowd covers a pixel."""
        if self.overlapping is not None:
            return bool(self.overlapping[~self.is_crowd].any())
        return bool(np.append(~self.is_crowd, False)[self.segment_ids].any())

    def masks(self) -> np.ndarray:
        """(N, H, W) bool, crowds included; a mask may be empty."""
        if self.overlapping is not None:
            return self.overlapping
        assert self.segment_ids is not None
        return np.equal(self.segment_ids, np.arange(len(self.classes), dtype=np.int32)[:, None, None])

    def labels(self) -> np.ndarray:
        """(H, W) int32: the class of every pixel, UNLABELED for none. Raises MaskError for masks that may overlap."""
        if self.segment_ids is None:
            raise MaskError("masks that may overlap give no single class for every pixel")
        return np.append(self.classes, UNLABELED).astype(np.int32)[self.segment_ids]
