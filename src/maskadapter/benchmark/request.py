"""What a benchmark is asked to measure, checked before PyTorch is imported; its photos."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.data import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.hub import ModelSource, check_source
from maskadapter.io import find_image_files, read_image
from maskadapter.models import MODEL_NAMES
from maskadapter.vocabulary import Vocabulary


def check_request(
    model: str,
    size: int,
    images: str | Path | None = None,
    segments: str | Path | None = None,
    classes: Any = "ade20k-150",
    second_classes: Any = None,
) -> None:
    """Raise MaskAdapterError, one line, for what ``benchmark`` cannot measure; arguments as there."""
    if size % 32 or size < 64:
        raise MaskAdapterError(f"size is {size}; a multiple of 32 of at least 64 is needed")
    if model not in MODEL_NAMES:
        check_source(ModelSource(model))
    photo_readers(images)
    if segments is not None:
        open_dataset("coco-panoptic", segments, split="val")
    for given in (classes, second_classes):
        if given is not None:
            Vocabulary.of(given)


def photo_readers(folder: str | Path | None = None) -> dict[str, Callable[[], np.ndarray]]:
    """Return, by name, functions that read one photo each of a folder as (H, W, 3) uint8; None for scikit-image's five.

    Raises ImageError for a folder without images, and when a file that is not an image is read.
    """
    if folder is not None:
        return {found.stem: partial(read_image, found.source) for found in find_image_files([str(folder)])}
    import skimage.data

    bundled = {name: getattr(skimage.data, name) for name in ("astronaut", "chelsea", "coffee", "rocket")}
    return {**bundled, "motorcycle": lambda: skimage.data.stereo_motorcycle()[0]}
