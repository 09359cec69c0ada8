"""Prepare images for the networks: resize, normalize, pad."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from maskadapter.types import ImageBatch

# Input mean and standard deviation of R, G and B, in 0 to 255: CLIP's, the same for all models here.
# Source: official PIXEL_MEAN and PIXEL_STD.
PIXEL_MEAN = (122.7709383, 116.7460125, 104.09373615)
PIXEL_STD = (68.5005327, 66.6321579, 70.32316305)


@dataclass(frozen=True)
class InputSize:
    """The rule for the size that an image is resized to before it enters the networks.

    The shorter side becomes ``shortest`` pixels, unless the longer would then exceed ``longest``: then the longer side
    becomes ``longest``. With the two equal, the longer side always becomes that. Source: official MIN_SIZE_TEST and
    MAX_SIZE_TEST (detectron2's ResizeShortestEdge).
    """

    shortest: int
    longest: int

    def of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Size that an image of ``size`` is resized to, (height, width) each, at least 1."""
        height, width = size
        scale = self.shortest / min(height, width)
        wanted = height * scale, width * scale
        # Two steps, because a single one rounds differently for one size in ten thousand.
        again = min(1.0, self.longest / max(wanted))
        return max(1, int(wanted[0] * again + 0.5)), max(1, int(wanted[1] * again + 0.5))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image (H, W, 3) uint8 to (*size, 3) by Pillow's bilinear filter. Source: official test mapper."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def image_batch(images: Sequence[np.ndarray], divisor: int, device: torch.device | str = "cpu") -> ImageBatch:
    """Normalized and raw pixels of images, see ``to_batch``."""
    return ImageBatch(to_batch(images, divisor, device), images)


def to_batch(images: Sequence[np.ndarray], divisor: int, device: torch.device | str = "cpu") -> Tensor:
    """Normalize images and pad them to one size.

    images: (h_i, w_i, 3) uint8 RGB. divisor: height and width of the result are multiples of it.
    Returns (B, 3, H, W). The padding, right and below, is zero *after* normalization, that is the mean color.
    Source: official code, ImageList.from_tensors.
    """
    height, width = (-(-max(image.shape[axis] for image in images) // divisor) * divisor for axis in (0, 1))
    mean = torch.tensor(PIXEL_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(PIXEL_STD, device=device).view(3, 1, 1)
    batch = torch.zeros(len(images), 3, height, width, device=device)
    for row, image in zip(batch, images, strict=True):
        pixels = torch.tensor(image, device=device).permute(2, 0, 1).float()
        row[:, : image.shape[0], : image.shape[1]] = (pixels - mean) / std
    return batch
