"""Prepare images for the networks: resize, normalize, pad."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from maskadapter.errors import ImageError

# CLIP's mean and standard deviation of R, G and B, in 0 to 255. Source: official PIXEL_MEAN and PIXEL_STD
PIXEL_MEAN = (122.7709383, 116.7460125, 104.09373615)
PIXEL_STD = (68.5005327, 66.6321579, 70.32316305)


@dataclass(frozen=True)
class InputSize:
    """The rule for the size that an image is resized to: the shorter side becomes ``shortest`` pixels, unless the
    longer would then exceed ``longest``, which it becomes then. With the two equal, the longer side always becomes it.
    Source: official MIN_SIZE_TEST and MAX_SIZE_TEST (detectron2's ResizeShortestEdge)."""

    shortest: int
    longest: int

    def of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Size that an image of ``size`` is resized to, (height, width) each, at least 1."""
        scale = self.shortest / min(size)
        wanted = size[0] * scale, size[1] * scale
        # Two steps, because a single one rounds differently for one size in ten thousand.
        again = min(1.0, self.longest / max(wanted))
        return max(1, int(wanted[0] * again + 0.5)), max(1, int(wanted[1] * again + 0.5))


def refuse_strip(original: tuple[int, int], resized: tuple[int, int], patch: int) -> None:
    """Raise ImageError for a panorama of which less than one patch of the image encoder would be left.

    original, resized: (height, width) of the image and of what the network gets. patch: pixels of its feature stride.
    """
    short = min(original)
    if min(resized) < min(patch, short):
        (height, width), (high, wide) = original, resized
        tile = (4 * short, short) if width > height else (short, 4 * short)
        problem = (
            f"an image of {width:,} x {height:,} pixels would shrink to {wide} x {high}, less than a patch of {patch}"
        )
        raise ImageError(f"{problem}: cut it into tiles of about {tile[0]:,} x {tile[1]:,} pixels")


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image (H, W, 3) uint8 to (*size, 3) by Pillow's bilinear filter. Source: official test mapper."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def to_batch(images: Sequence[np.ndarray], divisor: int, device: torch.device | str = "cpu") -> Tensor:
    """Normalize images (h_i, w_i, 3) uint8 RGB and pad them to one size, (B, 3, H, W), multiples of ``divisor``. The
    padding, right and below, is zero *after* normalization, the mean color. Source: official ImageList.from_tensors."""
    height, width = (-(-max(image.shape[axis] for image in images) // divisor) * divisor for axis in (0, 1))
    mean, std = (torch.tensor(one, dtype=torch.float32, device=device).view(3, 1, 1) for one in (PIXEL_MEAN, PIXEL_STD))
    batch = torch.zeros(len(images), 3, height, width, dtype=torch.float32, device=device)
    for row, image in zip(batch, images, strict=True):
        pixels = torch.tensor(image, device="cpu")  # 8 bits a value, a quarter of what float32 would take to transfer
        if batch.is_cuda:
            pixels = pixels.pin_memory()  # or the processor would wait for the transfer
        pixels = pixels.to(batch.device, non_blocking=batch.is_cuda).to(batch.dtype).permute(2, 0, 1)
        row[:, : image.shape[0], : image.shape[1]] = (pixels - mean) / std
    return batch
