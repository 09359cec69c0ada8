"""Images as the networks take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """A batch of images at the size of the networks' input.

    pixels: (B, 3, H, W), normalized with CLIP's mean and standard deviation, padded right and below with zeros.
    images: B arrays (h_i, w_i, 3) uint8 RGB, the same images before normalization and padding.
    """

    pixels: "Tensor"
    images: "Sequence[np.ndarray]"
