"""Nested regions of an image: superpixels merged into a tree, of which some nodes are proposed."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from maskadapter.models.proposals.superpixels.merging import Tree, choose, merge
from maskadapter.models.proposals.superpixels.pieces import (
    Pieces,
    cut_by_boundaries,
    cut_by_color,
    measure,
    small_rgb,
)

# Of ``cut``: how much a region counts beside its parts; the smaller, the finer the cut. Chosen on training photos:
# results/embedded-model/settings.json
WHOLE_WEIGHT = 1.1


@dataclass(frozen=True)
class NestedRegions:
    """One image's pieces and their tree."""

    pieces: Pieces
    tree: Tree
    nodes: np.ndarray  # (N,), indices of the proposed nodes of the tree

    def masks(self) -> np.ndarray:
        """(N, h, w) bool: the proposals at the resolution of the pieces."""
        return self.tree.members[self.nodes][:, self.pieces.labels]

    def nesting(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest other proposal around each, (N,) int64, -1 for none, and areas (N,), shares of the image."""
        members, place = self.tree.members[self.nodes], {node: i for i, node in enumerate(self.nodes.tolist())}
        parents = np.full(len(self.nodes), -1)
        for number, node in enumerate(self.nodes.tolist()):
            above = int(self.tree.parent[node])
            while above != node and above not in place:
                node, above = above, int(self.tree.parent[above])
            parents[number] = place[above] if above != node else -1
        return parents, members @ self.pieces.areas


@dataclass(frozen=True)
class Merging:
    """Settings of the superpixels and of merging them."""

    num_proposals: int = 100  # upper limit
    superpixels: int = 350  # approximate number of pieces where there are no boundaries to cut by
    stride: int = 2  # image pixels per mask pixel
    smallest: float = 0.001  # least share of the image that a proposal covers
    largest: float = 1.0  # the most

    def regions(
        self,
        image: np.ndarray,
        projected: Tensor | None = None,
        boundaries: np.ndarray | None = None,
    ) -> NestedRegions:
        """Cut and merge one image (H, W, 3) uint8 RGB, on the CPU. projected: (D, h, w), CLIP features over the image,
        compared beside color. boundaries: (2, H / stride, W / stride), 0 to 1, to cut at; None cuts by color."""
        rgb = small_rgb(image, self.stride)
        cut = cut_by_color(rgb, self.superpixels) if boundaries is None else cut_by_boundaries(boundaries, self.stride)
        pieces = measure(cut, rgb, boundaries, projected)
        tree = merge(pieces)
        return NestedRegions(pieces, tree, choose(tree, pieces.areas, self.num_proposals, self.smallest, self.largest))


def cut(parents: np.ndarray, areas: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Choose among nested proposals: (N,) bool, no chosen proposal inside another chosen one.

    parents, areas: (N,), see ``NestedRegions.nesting``. confidence: (N,) 0 to 1, how likely a proposal is one thing. A
    node is chosen where its own area x confidence x WHOLE_WEIGHT is at least the sum of the best nodes inside it."""
    order = np.argsort(areas, kind="stable").tolist()
    children: list[list[int]] = [[] for _ in order]
    roots: list[int] = []
    for node in order:
        (roots if parents[node] < 0 else children[parents[node]]).append(node)
    value, whole = np.zeros(len(order)), np.zeros(len(order), bool)
    for node in order:
        inside, own = value[children[node]].sum(), areas[node] * confidence[node]
        # Nodes that were too small to be proposals leave holes: a node stays whole unless its parts cover half of it.
        whole[node] = own * WHOLE_WEIGHT >= inside or areas[children[node]].sum() < areas[node] / 2
        value[node] = own if whole[node] else inside
    chosen, open_nodes = np.zeros(len(order), bool), roots
    while open_nodes:
        node = open_nodes.pop()
        chosen[node] = whole[node]
        if not whole[node]:
            open_nodes += children[node]
    return chosen
