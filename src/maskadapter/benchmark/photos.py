"""Photographs to measure with: given ones, or those that scikit-image brings along."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from skimage import data

from maskadapter.io.image_files import find_image_files
from maskadapter.io.images import read_image

_BUNDLED: Mapping[str, Callable[[], np.ndarray]] = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
}


def photographs(folder: str | Path | None = None) -> dict[str, Callable[[], np.ndarray]]:
    """Name -> what reads it, (H, W, 3) uint8. folder: of images; None: five of scikit-image's.

    Raises ImageError for a folder without images, and when an image that cannot be read is read.
    """
    if folder is None:
        return dict(_BUNDLED)
    return {found.stem: partial(read_image, found.source) for found in find_image_files([str(folder)])}
