"""Images as the networks take them, and their sizes on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class ImageSizes:
    """Sizes of one image, each (height, width) in pixels. padded: the networks' input. resized: the part of it that
    holds the image, top left. original: the image itself, the size of every result."""

    padded: Size
    resized: Size
    original: Size


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """A batch of images at the size of the networks' input. pixels: (B, 3, H, W), normalized with CLIP's mean and
    standard deviation, padded right and below with zeros. images: B arrays (h_i, w_i, 3) uint8 RGB, the same images
    before normalization and padding."""

    pixels: "Tensor"
    images: "Sequence[np.ndarray]"
