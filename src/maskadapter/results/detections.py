"""Segments as ``supervision.Detections``, for the tools that take these. supervision is imported here, when needed."""

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from maskadapter.results.postprocessing import PanopticMap, boxes_of

if TYPE_CHECKING:
    from supervision import Detections


def load_supervision() -> ModuleType:
    """The library, without its warning that OpenCV is missing: it draws and writes without, only slower."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OpenCV .* is not installed", category=UserWarning)
        import supervision
    return supervision


def panoptic_detections(panoptic: PanopticMap, names: Sequence[str]) -> "Detections":
    """Every segment: mask (H, W), xyxy, class_id, confidence, and ``class_name`` in ``data``."""
    segments = panoptic.segments
    masks = panoptic.masks()
    return load_supervision().Detections(
        xyxy=boxes_of(masks),
        mask=masks,
        confidence=np.array([segment.score for segment in segments], dtype=np.float32),
        class_id=np.array([segment.label for segment in segments], dtype=int),
        data={"class_name": np.array([names[segment.label] for segment in segments], dtype=str)},
    )
