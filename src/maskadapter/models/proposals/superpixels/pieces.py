"""Cut an image into superpixels and measure them: what lies in each, and what lies between two of them."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab
from skimage.segmentation import slic, watershed
from torch import Tensor
from torch.nn import functional as F

from maskadapter.types import Size

SMOOTHING = 2.6  # input pixels, of the boundaries before they are cut: about 500 pieces at 640 x 480


@dataclass(frozen=True)
class Pieces:
    """L superpixels of an image and the E pairs of them that touch."""

    labels: np.ndarray  # (h, w), number of each pixel's piece
    areas: np.ndarray  # (L,), shares of the image
    colors: np.ndarray  # (L, 3), Lab
    embeddings: np.ndarray  # (L, D), CLIP's projected features; ones without CLIP
    pairs: np.ndarray  # (E, 2), pieces that touch, the smaller number first
    lengths: np.ndarray  # (E,), pixels of their common border
    strengths: np.ndarray  # (E, 2), mean boundary on it, 0 to 1: edge, object boundary; zeros without boundaries


def small_rgb(image: np.ndarray, stride: int) -> np.ndarray:
    """(h, w, 3) float64 0 to 1 of an image (H, W, 3) uint8 RGB, one pixel for stride x stride."""
    pixels = torch.tensor(image, dtype=torch.float32, device="cpu").permute(2, 0, 1)
    return (F.avg_pool2d(pixels, stride, ceil_mode=True) / 255).permute(1, 2, 0).double().numpy()


def cut_by_color(rgb: np.ndarray, count: int) -> np.ndarray:
    """Labels (h, w) of about ``count`` pieces of one color, of an image (h, w, 3) 0 to 1."""
    return slic(rgb, count, compactness=8, sigma=0.7, start_label=0)


def cut_by_boundaries(boundaries: np.ndarray, stride: int) -> np.ndarray:
    """Labels (h, w) of pieces that meet at boundaries (2, h, w) 0 to 1: one for each hollow between them."""
    return watershed(gaussian_filter(boundaries.mean(0), SMOOTHING / stride))


def measure(
    cut: np.ndarray, rgb: np.ndarray, boundaries: np.ndarray | None = None, projected: Tensor | None = None
) -> Pieces:
    """Measure pieces. cut: (h, w), any numbers. rgb: (h, w, 3), 0 to 1. boundaries: (2, h, w), 0 to 1. projected:
    (D, h', w'), CLIP's features over the image."""
    labels = np.unique(cut, return_inverse=True)[1].reshape(cut.shape)  # numbers without gaps
    flat, count = labels.ravel(), int(labels.max()) + 1
    pixels, lab = np.bincount(flat, minlength=count), rgb2lab(rgb)
    colors = np.stack([np.bincount(flat, lab[..., channel].ravel(), count) for channel in range(3)], 1)
    embeddings = np.ones((count, 1))
    if projected is not None:
        embeddings = pool(labels, count, F.normalize(projected, dim=0)).cpu().double().numpy()
    if boundaries is None:
        boundaries = np.zeros((2, *labels.shape))
    sides = [
        (labels[:, :-1], labels[:, 1:], np.maximum(boundaries[:, :, :-1], boundaries[:, :, 1:])),
        (labels[:-1], labels[1:], np.maximum(boundaries[:, :-1], boundaries[:, 1:])),
    ]
    one, two = (np.concatenate([side[i].ravel() for side in sides]) for i in (0, 1))
    strength = np.concatenate([side[2].reshape(2, -1) for side in sides], 1)
    apart = one != two
    keys = np.minimum(one, two)[apart] * count + np.maximum(one, two)[apart]
    keys, which, lengths = np.unique(keys, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(which, values[apart], len(keys)) for values in strength], 1)
    pairs = np.stack(np.divmod(keys, count), 1)
    return Pieces(
        labels,
        pixels / labels.size,
        colors / pixels[:, None],
        embeddings,
        pairs,
        lengths,
        sums / np.maximum(lengths, 1)[:, None],
    )


def without_padding(grid: Tensor, resized: Size, padded: Size) -> Tensor:
    """The part of a feature map (C, h, w) over a padded input that lies on the image: (C, h', w')."""
    sides = zip(grid.shape[1:], resized, padded, strict=True)
    height, width = (max(1, round(side * part / full)) for side, part, full in sides)
    return grid[:, :height, :width]


def pool(labels: np.ndarray, count: int, grid: Tensor) -> Tensor:
    """Average a coarse feature map (C, h, w) under each of ``count`` pieces of a label map (H, W): (count, C). Every
    pixel counts with the feature location it lies in, so that a piece smaller than one still has a feature."""
    _, height, width = grid.shape
    rows, columns = (np.arange(n) * side // n for n, side in zip(labels.shape, (height, width), strict=True))
    locations = rows[:, None] * width + columns[None]
    votes = np.bincount((labels * (height * width) + locations).ravel(), minlength=count * height * width)
    votes = votes.reshape(count, -1)
    return grid.new_tensor(votes / votes.sum(1, keepdims=True)) @ grid.flatten(1).T
