"""Photographs to measure with: given ones, or those that scikit-image brings along."""

from pathlib import Path

import numpy as np
from skimage import data

from maskadapter.images import read_image
from maskadapter.pictures import find_pictures

_BUNDLED = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")


def photographs(folder: str | Path | None = None) -> dict[str, np.ndarray]:
    """Name -> (H, W, 3) uint8. folder: of pictures, in the order of their names; None: five of scikit-image's."""
    if folder is None:
        return {name: read_image(Path(data.__file__).parent / name) for name in _BUNDLED}
    return {Path(str(found.source)).name: read_image(found.source) for found in find_pictures([str(folder)])}
