"""Segments as ``supervision.Detections``, for the tools that take these."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskadapter.results.postprocessing import PanopticMap, boxes_of
from maskadapter.system.extras import load_extra

if TYPE_CHECKING:
    from supervision import Detections


def load_supervision() -> Any:
    """Import supervision without its warning that OpenCV, which it can do without, is missing.

    Raises MaskAdapterError, one line, where supervision is not installed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OpenCV .* is not installed", category=UserWarning)
        return load_extra("supervision", "label")


def panoptic_detections(panoptic: PanopticMap, names: Sequence[str]) -> "Detections":
    """Return every segment: mask (H, W), xyxy, class_id, confidence, and ``class_name`` in ``data``."""
    segments, masks = panoptic.segments, panoptic.masks()
    return load_supervision().Detections(
        xyxy=boxes_of(masks),
        mask=masks,
        confidence=np.array([segment.score for segment in segments], dtype=np.float32),
        class_id=np.array([segment.label for segment in segments], dtype=int),
        data={"class_name": np.array([names[segment.label] for segment in segments], dtype=str)},
    )
