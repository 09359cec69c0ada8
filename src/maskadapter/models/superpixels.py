"""Proposals without a learned mask decoder: superpixels, merged into a tree, each node one proposal.

SLIC cuts the picture into small pieces along its edges; the pieces that look and mean most alike are merged first,
until one is left. The nodes of that binary tree are nested proposals from a button to the whole picture, with
borders as sharp as the picture's own. A small region head says what a node shows, or void where it covers several
things or a part of one.
"""

import numpy as np
import torch
from skimage.color import rgb2lab
from skimage.segmentation import slic
from torch import Tensor, nn
from torch.nn import functional as F

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.clip import PIXEL_MEAN, PIXEL_STD
from maskadapter.models.preprocess import content_size
from maskadapter.models.region_tree import Tree, choose, cut, merge
from maskadapter.structures import ClipFeatures, Proposals

SHAPE_FEATURES = 15
MASK_LOGIT = 10.0
# Added to the void logit of a proposal that `cut` leaves out, so that it only speaks where nothing else does, and taken
# from that of one that speaks: parts were trained to speak softly, and void would be the best class of all of them.
SILENCE, VOICE = 3.0, 6.0


def rgb_image(image: Tensor) -> np.ndarray:
    """(3, h, w) normalised -> (h, w, 3) float64 RGB in 0..1."""
    rgb = image * image.new_tensor(PIXEL_STD).view(3, 1, 1) + image.new_tensor(PIXEL_MEAN).view(3, 1, 1)
    return (rgb / 255).clamp(0, 1).permute(1, 2, 0).cpu().double().numpy()


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


def shape_features(
    tree: Tree, nodes: np.ndarray, labels: np.ndarray, areas: np.ndarray, colours: np.ndarray, embeddings: np.ndarray
) -> np.ndarray:
    """(N, SHAPE_FEATURES) numbers about size, place, outline, purity and colour of nodes; all within a few units of
    zero.

    A node of one thing has leaves that agree in feature and colour; one of several things has not: void needs to know.
    """
    height, width = labels.shape
    y, x = np.divmod(np.arange(labels.size), width)
    flat, count = labels.ravel(), len(areas)
    low = np.full((count, 2), np.inf)
    high = np.full((count, 2), -np.inf)
    for axis, position in enumerate((y / height, x / width)):
        np.minimum.at(low[:, axis], flat, position)
        np.maximum.at(high[:, axis], flat, position)
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9)
    rows = []
    for node in nodes:
        inside = tree.members[node]
        share = areas[inside] / areas[inside].sum()
        top, bottom = low[inside].min(0), high[inside].max(0)
        box = np.maximum(bottom - top, 1e-3)
        mean = share @ unit[inside]
        spread = np.sqrt((share[:, None] * (colours[inside] - share @ colours[inside]) ** 2).sum(0)).mean()
        rows.append(
            [
                np.log(areas[inside].sum()) / 4,
                *(top + bottom) / 2,
                *box,
                areas[inside].sum() / box.prod(),
                np.linalg.norm(mean),
                spread / 20,
                tree.cost[node] * 4,
                tree.cost[tree.parent[node]] * 4,
                float((top < 0.01).sum() + (bottom > 0.98).sum()) / 2,
                np.log(inside.sum()) / 4,
                *(share @ colours[inside] / 50),
            ]
        )
    return np.asarray(rows, np.float32)


class SuperpixelGenerator(nn.Module):
    """See the module's text. `forward` is deterministic and runs the tree on the CPU."""

    def __init__(
        self,
        in_channels: int = 1280,
        embed_dim: int = 384,
        hidden: int = 512,
        num_proposals: int = 100,
        superpixels: int = 350,
        stride: int = 2,
        colour_weight: float = 2.0,
        size_power: float = 0.5,
        smallest: float = 0.001,
        split_bonus: float = 0.7,
    ):
        """stride: image pixels per mask pixel; smallest: least share of the picture.

        The others: see `merge`, `choose`, `cut`.
        """
        super().__init__()
        self.num_proposals, self.superpixels, self.stride = num_proposals, superpixels, stride
        self.colour_weight, self.size_power, self.smallest, self.split_bonus = (
            colour_weight,
            size_power,
            smallest,
            split_bonus,
        )
        self.norm = nn.LayerNorm(in_channels)
        self.hidden = nn.Linear(in_channels + SHAPE_FEATURES, hidden)
        self.output = nn.Linear(hidden, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))  # CLIP's ln(1 / 0.07)

    def embed(self, pooled: Tensor, shape: Tensor) -> Tensor:
        """The region head: pooled dense features (..., C), shape (..., SHAPE_FEATURES) -> embeddings (..., D)."""
        return self.output(F.gelu(self.hidden(torch.cat([self.norm(pooled), shape], -1))))

    def propose(self, image: Tensor, dense: Tensor, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One picture (3, H, W) with its dense (C, h, w) and projected (D, h, w) features.

        Returns masks (N, H / stride, W / stride) bool, pooled dense features (N, C), shape (N, SHAPE_FEATURES).
        """
        height, width = content_size(image)
        small = F.avg_pool2d(image[:, :height, :width], self.stride, ceil_mode=True)
        rgb = rgb_image(small)
        lab = rgb2lab(rgb)
        cells = [
            max(1, round(side * part / full))
            for side, part, full in zip(dense.shape[1:], (height, width), image.shape[1:], strict=True)
        ]
        pieces = slic(rgb, self.superpixels, compactness=8, sigma=0.7, start_label=0)
        labels = np.unique(pieces, return_inverse=True)[1].reshape(pieces.shape)  # numbers without gaps
        count = labels.max() + 1
        areas = np.bincount(labels.ravel(), minlength=count) / labels.size
        colours = (
            np.stack([np.bincount(labels.ravel(), lab[..., c].ravel(), count) for c in range(3)], 1)
            / (areas * labels.size)[:, None]
        )
        features = pool(labels, count, dense[:, : cells[0], : cells[1]])
        embeddings = (
            pool(labels, count, F.normalize(projected[:, : cells[0], : cells[1]], dim=0)).cpu().double().numpy()
        )
        pairs = np.concatenate(
            [
                np.stack([labels[:, :-1], labels[:, 1:]], -1).reshape(-1, 2),
                np.stack([labels[:-1], labels[1:]], -1).reshape(-1, 2),
            ]
        )
        pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
        tree = merge(pairs, areas, colours, embeddings, self.colour_weight, self.size_power)
        nodes = choose(tree, areas, self.num_proposals, self.smallest)
        members = tree.members[nodes] * areas
        pooled = features.new_tensor(members / members.sum(1, keepdims=True)) @ features
        shape = features.new_tensor(shape_features(tree, nodes, labels, areas, colours, embeddings))
        size = [-(-side // self.stride) for side in image.shape[1:]]
        masks = torch.zeros(len(nodes), *size, dtype=torch.bool)
        masks[:, : labels.shape[0], : labels.shape[1]] = torch.from_numpy(tree.members[nodes][:, labels])
        return masks.to(image.device), pooled, shape

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        """images: (B, 3, H, W), normalised and padded. text: a TextClassifier over K classes.

        Returns mask_logits (B, N, H / stride, W / stride), +-10, and class_logits (B, N, K + 1), void last.
        A picture with fewer nodes than another of its batch is filled up with empty masks whose class is void.
        """
        proposed = [self.propose(*one) for one in zip(images, features.dense, features.projected, strict=True)]
        count = max(len(masks) for masks, _, _ in proposed)
        mask_logits, class_logits = [], []
        for masks, pooled, shape in proposed:
            missing = count - len(masks)
            logits = text.logits(self.embed(pooled, shape)[None], self.logit_scale)[0]
            confidence = 1 - logits.detach().softmax(-1)[:, -1]
            speaks = cut(masks.flatten(1).cpu().numpy(), confidence.float().cpu().numpy(), self.split_bonus)
            shift = torch.where(torch.from_numpy(speaks), -VOICE, SILENCE).to(logits)
            logits = torch.cat([logits[:, :-1], logits[:, -1:] + shift[:, None]], -1)
            void = logits.new_full((missing, logits.shape[1]), -100.0)
            void[:, -1] = 100.0
            class_logits.append(torch.cat([logits, void]))
            mask_logits.append(F.pad((masks.to(logits) * 2 - 1), (0, 0, 0, 0, 0, missing), value=-1.0) * MASK_LOGIT)
        return Proposals(torch.stack(mask_logits), torch.stack(class_logits))
