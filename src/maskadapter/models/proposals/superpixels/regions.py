"""Proposals without training: superpixels, merged into a tree, each node one proposal.

SLIC cuts the image into small pieces along its edges; the pieces that look and mean most alike are merged first,
until one is left. The nodes of that binary tree are nested proposals from a button to the whole image, with
borders as sharp as the image's own.
"""

from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import rgb2lab
from skimage.segmentation import slic
from torch import Tensor, nn
from torch.nn import functional as F

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.preprocess import PIXEL_MEAN, PIXEL_STD, content_size
from maskadapter.models.proposals.superpixels.region_tree import Tree, choose, merge
from maskadapter.models.sources.given_masks import INSIDE, as_proposals
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.proposals import Proposals


@dataclass(frozen=True)
class Regions:
    """One image's pieces and their tree.

    labels: (h, w), number of each pixel's piece. areas: (L,), shares of the image. colors: (L, 3), Lab. embeddings:
    (L, D). nodes: (N,), of the tree, those that are proposed. masks: (N, H, W) bool, with the padding.
    """

    labels: np.ndarray
    areas: np.ndarray
    colors: np.ndarray
    embeddings: np.ndarray
    tree: Tree
    nodes: np.ndarray
    masks: Tensor


@dataclass(frozen=True)
class Merging:
    """How images are cut and pieces merged.

    num_proposals: at most. superpixels: about so many pieces. stride: image pixels per mask pixel. smallest: least
    share of the image that is proposed. color_weight, size_power: see ``region_tree.merge``.
    """

    num_proposals: int = 100
    superpixels: int = 350
    stride: int = 2
    color_weight: float = 2.0
    size_power: float = 0.5
    smallest: float = 0.001

    def regions(self, image: Tensor, projected: Tensor) -> Regions:
        """Cut and merge one image (3, H, W), normalized and padded; projected: (D, h, w), what its cells mean, or
        no cells: then color alone decides. Runs on the CPU."""
        height, width = content_size(image)
        rgb = _rgb(F.avg_pool2d(image[:, :height, :width], self.stride, ceil_mode=True))
        lab = rgb2lab(rgb)
        pieces = slic(rgb, self.superpixels, compactness=8, sigma=0.7, start_label=0)
        labels = np.unique(pieces, return_inverse=True)[1].reshape(pieces.shape)  # numbers without gaps
        count = labels.max() + 1
        areas = np.bincount(labels.ravel(), minlength=count) / labels.size
        colors = (
            np.stack([np.bincount(labels.ravel(), lab[..., c].ravel(), count) for c in range(3)], 1)
            / (areas * labels.size)[:, None]
        )
        embeddings = np.ones((count, 1))
        if projected.numel():
            unit = F.normalize(without_padding(projected, image), dim=0)
            embeddings = pool(labels, count, unit).cpu().double().numpy()
        pairs = np.concatenate(
            [
                np.stack([labels[:, :-1], labels[:, 1:]], -1).reshape(-1, 2),
                np.stack([labels[:-1], labels[1:]], -1).reshape(-1, 2),
            ]
        )
        pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
        tree = merge(pairs, areas, colors, embeddings, self.color_weight, self.size_power)
        nodes = choose(tree, areas, self.num_proposals, self.smallest)
        size = [-(-side // self.stride) for side in image.shape[1:]]
        masks = torch.zeros(len(nodes), *size, dtype=torch.bool)
        masks[:, : labels.shape[0], : labels.shape[1]] = torch.from_numpy(tree.members[nodes][:, labels])
        return Regions(labels, areas, colors, embeddings, tree, nodes, masks.to(image.device))


class Superpixels(nn.Module):
    """Class-agnostic proposals of any image. merging: see ``Merging``."""

    def __init__(self, merging: Merging | None = None) -> None:
        super().__init__()
        self.merging = merging or Merging()

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        """images: (B, 3, H, W), normalized and padded. Returns mask logits (B, N, H / stride, W / stride), +-10, and no
        class logits; an image with fewer masks than another of its batch is filled up with empty ones."""
        found = (self.merging.regions(*one).masks for one in zip(images, features.projected, strict=True))
        return as_proposals([(masks.to(images) * 2 - 1) * INSIDE for masks in found])


def without_padding(grid: Tensor, image: Tensor) -> Tensor:
    """The cells (C, h', w') of a grid (C, h, w) over a padded image (3, H, W) that lie on the image."""
    cells = [
        max(1, round(side * part / full))
        for side, part, full in zip(grid.shape[1:], content_size(image), image.shape[1:], strict=True)
    ]
    return grid[:, : cells[0], : cells[1]]


def pool(labels: np.ndarray, count: int, grid: Tensor) -> Tensor:
    """Mean of a coarse grid (C, h, w) under each of `count` pieces of a label map (H, W): (count, C).

    Every pixel votes with the cell it lies in, so that a piece smaller than a cell still has a feature.
    """
    channels, height, width = grid.shape
    rows = np.minimum(np.arange(labels.shape[0]) * height // labels.shape[0], height - 1)
    columns = np.minimum(np.arange(labels.shape[1]) * width // labels.shape[1], width - 1)
    cells = rows[:, None] * width + columns[None]
    votes = np.bincount((labels * (height * width) + cells).ravel(), minlength=count * height * width).reshape(
        count, -1
    )
    weights = grid.new_tensor(votes / votes.sum(1, keepdims=True))
    return weights @ grid.reshape(channels, -1).T


def _rgb(image: Tensor) -> np.ndarray:
    """(3, h, w) normalized -> (h, w, 3) float64 RGB in 0..1."""
    rgb = image * image.new_tensor(PIXEL_STD).view(3, 1, 1) + image.new_tensor(PIXEL_MEAN).view(3, 1, 1)
    return (rgb / 255).clamp(0, 1).permute(1, 2, 0).cpu().double().numpy()
