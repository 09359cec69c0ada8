"""Segments as detections of the library supervision."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskadapter.results.result_segment import ResultSegment, masks_of
from maskadapter.system.extras import load_extra
from maskadapter.system.ignored_warnings import ignored_warnings
from maskadapter.types import Size

if TYPE_CHECKING:
    from supervision import Detections


def detections_of(segments: Sequence[ResultSegment], size: Size) -> "Detections":
    """The segments of an image of ``size`` as ``supervision.Detections``, with ``class_name`` and ``id`` in
    ``data``."""
    return load_supervision().Detections(
        xyxy=np.array([segment.box for segment in segments], np.float32).reshape(-1, 4),
        mask=masks_of(segments, size),
        confidence=np.array([segment.score for segment in segments], dtype=np.float32),
        class_id=np.array([segment.label for segment in segments], dtype=int),
        data={
            "class_name": np.array([segment.class_name for segment in segments], dtype=str),
            "id": np.array([segment.id for segment in segments], dtype=int),
        },
    )


def load_supervision() -> Any:
    """Import supervision without its warning that OpenCV is missing, which it can do without; MaskAdapterError where
    supervision is not installed."""
    with ignored_warnings():
        return load_extra("supervision", "label")
