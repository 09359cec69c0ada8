"""Images that a client sent, segmented: a few at a time, because each takes memory until its turn comes."""

import base64
import binascii
from collections.abc import Callable
from io import BytesIO
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

import numpy as np
from fastapi import HTTPException

from maskadapter.errors import ImageError
from maskadapter.io import read_stream
from maskadapter.vocabulary import Vocabulary

if TYPE_CHECKING:
    from maskadapter.results import Segmentation

Segment = Callable[[np.ndarray, Vocabulary], "Segmentation"]
"""Segments an image (H, W, 3) uint8 RGB into classes; called from several threads."""

MAX_PIXELS = 50_000_000  # of one image: 150 MB decoded
_AT_ONCE = 4
_SECONDS = 60.0
_free = BoundedSemaphore(_AT_ONCE)  # FastAPI answers from 40 threads


def from_base64(text: str) -> bytes:
    """Decode base64, alone or behind ``data:image/png;base64,``. Raises ImageError."""
    start, comma, rest = text[:100].partition(",")
    if start.startswith("data:"):
        if not comma or not start.endswith(";base64"):
            raise ImageError("the image's data URI is not in base64: data:image/png;base64,... is needed")
        text = rest + text[100:]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ImageError("the image is not base64: the bytes of an image file, encoded, are needed") from None


def segment_sent(
    segment: Segment, content: bytes, vocabulary: Vocabulary, max_pixels: int, name: str = "the image"
) -> "Segmentation":
    """Decode the bytes of an image file and segment it. name: for messages.

    Raises ImageError: not an image, damaged, more than ``max_pixels`` pixels; HTTPException 503 where others are at
    work for a minute; and what ``segment`` raises.
    """
    if not _free.acquire(timeout=_SECONDS):
        raise HTTPException(503, "other images are still at work: try again later", {"Retry-After": "30"})
    try:
        return segment(read_stream(BytesIO(content), name, max_pixels), vocabulary)
    finally:
        _free.release()
