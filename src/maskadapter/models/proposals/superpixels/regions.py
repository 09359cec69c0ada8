"""Cut an image into superpixels and merge them into a tree of regions; each node is one nested proposal.

SLIC cuts along the image's edges; the pieces with the most similar color and features are merged first, until one is
left. The nodes are proposals from a button to the whole image. Nothing is trained."""

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from skimage.color import rgb2lab
from skimage.segmentation import slic
from torch import Tensor
from torch.nn import functional as F

from maskadapter.types import Size

SPLIT_BONUS = 0.7  # of ``cut``, 0 to 1: the smaller, the finer the cut


class Tree(NamedTuple):
    """A binary tree over L pieces with M = 2 L - 1 nodes: leaves first, then merges in their order, the root last."""

    members: np.ndarray  # (M, L) bool: leaves below a node
    cost: np.ndarray  # (M,) cost of the merge that made the node; 0 for leaves
    parent: np.ndarray  # (M,) index of the parent; the root is its own


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
        pixels = torch.tensor(image, dtype=torch.float32, device="cpu").permute(2, 0, 1)
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


def merge(
    pairs: np.ndarray, areas: np.ndarray, colors: np.ndarray, features: np.ndarray, color_weight: float, power: float
) -> Tree:
    """Merge adjacent pieces greedily, cheapest pair first. pairs: (E, 2), adjacent pieces. areas: (L,) shares of the
    image. colors: (L, 3) Lab. features: (L, C). cost = (1 - cosine + color_weight * Lab distance / 100) * (smaller
    area) ** power: the power makes tiny pieces merge first."""
    count = len(areas)
    area, norm = (np.pad(one, (0, count - 1)) for one in (areas, np.linalg.norm(features, axis=1)))
    color, feature = (np.pad(one, ((0, count - 1), (0, 0))) for one in (colors, features))
    adjacent: list[set[int]] = [set() for _ in range(2 * count - 1)]
    for a, b in pairs.tolist():
        adjacent[a].add(b)
        adjacent[b].add(a)

    def costs(a: int, others: np.ndarray) -> np.ndarray:
        cosine = feature[others] @ feature[a] / np.maximum(norm[others] * norm[a], 1e-9)
        lab = np.linalg.norm(color[others] - color[a], axis=1) / 100
        return (1 - cosine + color_weight * lab) * np.minimum(area[others], area[a]) ** power

    heap: list[tuple[float, int, int]] = []
    for a in range(count):
        others = np.array([b for b in sorted(adjacent[a]) if b > a], int)
        heap += [(price, a, b) for price, b in zip(costs(a, others).tolist(), others.tolist(), strict=True)]
    heapq.heapify(heap)
    members = np.eye(2 * count - 1, count, dtype=bool)
    cost, parent, alive = np.zeros(2 * count - 1), np.arange(2 * count - 1), [True] * count + [False] * (count - 1)
    for node in range(count, 2 * count - 1):
        price, a, b = heapq.heappop(heap)
        while not (alive[a] and alive[b]):
            price, a, b = heapq.heappop(heap)
        alive[a], alive[b], alive[node] = False, False, True
        parent[a] = parent[b] = node
        cost[node] = max(price, cost[a], cost[b])
        members[node] = members[a] | members[b]
        area[node] = area[a] + area[b]
        share = area[a] / area[node]
        color[node] = share * color[a] + (1 - share) * color[b]
        feature[node] = share * feature[a] + (1 - share) * feature[b]
        norm[node] = np.linalg.norm(feature[node])
        adjacent[node] = {c for c in adjacent[a] | adjacent[b] if alive[c]} - {node}
        for c in adjacent[node]:
            adjacent[c].add(node)
        others = np.array(sorted(adjacent[node]), int)
        for price, other in zip(costs(node, others).tolist(), others.tolist(), strict=True):
            heapq.heappush(heap, (price, other, node))
    return Tree(members, cost, parent)


def choose(tree: Tree, areas: np.ndarray, limit: int, smallest: float) -> np.ndarray:
    """Choose up to ``limit`` nodes, ascending indices: those that stay whole longest while their surroundings merge.
    areas: (L,) shares of the image. Nodes below ``smallest`` of the image are left out."""
    area = tree.members @ areas
    persistence = tree.cost[tree.parent] - tree.cost
    persistence[-1] = np.inf  # the whole image: there may be only one thing in it
    score = np.where(area >= smallest, persistence, -np.inf)
    order = np.argsort(-score, kind="stable")[:limit]
    return np.sort(order[np.isfinite(score[order]) | (order == len(score) - 1)])


def nesting(masks: np.ndarray) -> np.ndarray:
    """(N,) int64: the smallest other mask that contains each of masks (N, P) bool, nested or disjoint; -1 for none."""
    flat = masks.astype(np.float32)
    area, shared = flat.sum(1), flat @ flat.T
    order = np.argsort(area, kind="stable").tolist()
    parents = np.full(len(order), -1)
    for rank, node in enumerate(order):
        inside = (other for other in order[rank + 1 :] if shared[node, other] >= area[node] - 0.5)
        parents[node] = next(inside, -1)
    return parents


def cut(parents: np.ndarray, areas: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Choose among nested proposals: (N,) bool, no chosen proposal inside another chosen one.

    parents: (N,) see ``nesting``. areas: (N,) pixels. confidence: (N,) 0 to 1, how likely a proposal is one thing. A
    node is chosen where its own area x confidence x SPLIT_BONUS is at least the sum of the best nodes inside it:
    without this, one node that covers the image would beat all of its parts."""
    order = np.argsort(areas, kind="stable").tolist()
    children: list[list[int]] = [[] for _ in order]
    roots: list[int] = []
    for node in order:
        (roots if parents[node] < 0 else children[parents[node]]).append(node)
    value, whole = np.zeros(len(order)), np.zeros(len(order), bool)
    for node in order:
        inside, own = value[children[node]].sum(), areas[node] * confidence[node]
        # Nodes that were too small to be proposals leave holes: a node stays whole unless its parts cover half of it.
        whole[node] = own * SPLIT_BONUS >= inside or areas[children[node]].sum() < areas[node] / 2
        value[node] = own if whole[node] else inside
    chosen, open_nodes = np.zeros(len(order), bool), roots
    while open_nodes:
        node = open_nodes.pop()
        chosen[node] = whole[node]
        if not whole[node]:
            open_nodes += children[node]
    return chosen
