"""Cut an image into superpixels and merge them into a tree of regions; each node is one nested proposal.

SLIC cuts along the image's edges; the pieces with the most similar color and features are merged first, until one is
left. The nodes of that tree are proposals from a button to the whole image, with its own sharp borders. Nothing is
trained.
"""

from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import rgb2lab
from skimage.segmentation import slic
from torch import Tensor
from torch.nn import functional as F

from maskadapter.models.proposals.superpixels.region_tree import Tree, choose, merge
from maskadapter.types import Size


@dataclass(frozen=True)
class Regions:
    """One image's pieces and their tree."""

    labels: np.ndarray  # (h, w), number of each pixel's piece
    areas: np.ndarray  # (L,), shares of the image
    colors: np.ndarray  # (L, 3), Lab
    embeddings: np.ndarray  # (L, D)
    tree: Tree
    nodes: np.ndarray  # (N,), indices of the proposed nodes of the tree

    def masks(self) -> np.ndarray:
        """(N, h, w) bool: the proposals at the resolution of ``labels``."""
        return self.tree.members[self.nodes][:, self.labels]


@dataclass(frozen=True)
class Merging:
    """Settings of the superpixels and of merging them."""

    num_proposals: int = 100  # upper limit
    superpixels: int = 350  # approximate number of pieces
    stride: int = 2  # image pixels per mask pixel
    color_weight: float = 2.0  # see ``merge``
    size_power: float = 0.5  # see ``merge``
    smallest: float = 0.001  # least share of the image that a proposal covers

    def regions(self, image: np.ndarray, projected: Tensor | None = None) -> Regions:
        """Cut and merge one image (H, W, 3) uint8 RGB, on the CPU. projected: (D, h, w), CLIP features over the image,
        compared beside color; None compares color alone."""
        pixels = torch.tensor(image).permute(2, 0, 1).float()
        rgb = (F.avg_pool2d(pixels, self.stride, ceil_mode=True) / 255).permute(1, 2, 0).double().numpy()
        lab = rgb2lab(rgb)
        pieces = slic(rgb, self.superpixels, compactness=8, sigma=0.7, start_label=0)
        labels = np.unique(pieces, return_inverse=True)[1].reshape(pieces.shape)  # numbers without gaps
        flat, count = labels.ravel(), labels.max() + 1
        areas = np.bincount(flat, minlength=count) / labels.size
        sums = [np.bincount(flat, lab[..., channel].ravel(), count) for channel in range(3)]
        colors = np.stack(sums, 1) / (areas * labels.size)[:, None]
        embeddings = np.ones((count, 1))
        if projected is not None:
            embeddings = pool(labels, count, F.normalize(projected, dim=0)).cpu().double().numpy()
        beside = np.stack([labels[:, :-1], labels[:, 1:]], -1).reshape(-1, 2)
        pairs = np.concatenate([beside, np.stack([labels[:-1], labels[1:]], -1).reshape(-1, 2)])
        pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
        tree = merge(pairs, areas, colors, embeddings, self.color_weight, self.size_power)
        nodes = choose(tree, areas, self.num_proposals, self.smallest)
        return Regions(labels, areas, colors, embeddings, tree, nodes)


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
