"""Photographs to measure with: given ones, or those that scikit-image brings along."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from skimage import data

from maskadapter.images import read_image
from maskadapter.pictures import find_pictures

_BUNDLED: Mapping[str, Callable[[], np.ndarray]] = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
}


def photographs(folder: str | Path | None = None) -> dict[str, Callable[[], np.ndarray]]:
    """Name -> what reads it, (H, W, 3) uint8. folder: of pictures; None: five of scikit-image's.

    Raises ImageError for a folder without pictures, and when a picture that cannot be read is read.
    """
    if folder is None:
        return dict(_BUNDLED)
    return {found.stem: partial(read_image, found.source) for found in find_pictures([str(folder)])}
