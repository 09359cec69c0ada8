"""An image as a user gives it, read once and handed on with its file's name."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskadapter.io.images import read_image
from maskadapter.system.atomic_files import readable


class InputImage(NamedTuple):
    """An image that was read. pixels: (H, W, 3) uint8 RGB, upright. name: of its file, where it came from one."""

    pixels: np.ndarray
    name: str | None


def read_input(image: Any) -> InputImage:
    """Read what a user gives: whatever ``read_image`` takes, whose memory the result does not share."""
    if isinstance(image, InputImage):
        return image
    return InputImage(read_image(image), readable(Path(image).name) if isinstance(image, str | Path) else None)
