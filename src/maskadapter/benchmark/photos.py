"""Photos to measure with: those of a folder, or five that come with scikit-image."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from skimage import data

from maskadapter.io import find_image_files, read_image

_BUNDLED: Mapping[str, Callable[[], np.ndarray]] = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
}


def photo_readers(folder: str | Path | None = None) -> dict[str, Callable[[], np.ndarray]]:
    """Return, by name, functions that read one photo each as (H, W, 3) uint8.

    folder: of images; None for the five of scikit-image. Raises ImageError for a folder without images, and when a file
    that is not an image is read.
    """
    if folder is None:
        return dict(_BUNDLED)
    return {found.stem: partial(read_image, found.source) for found in find_image_files([str(folder)])}
