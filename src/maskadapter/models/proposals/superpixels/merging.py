"""Merge superpixels into a tree of regions, cheapest pair first, until one is left. Every node is a region, from a
button to the whole image. Nothing is trained."""

import heapq
from typing import NamedTuple

import numpy as np

from maskadapter.models.proposals.superpixels.pieces import Pieces

# Of the cost of a merge. Chosen on training photos, by recall of their segments: results/embedded-model/proposals.json
BOUNDARY_WEIGHT, COLOR_WEIGHT = 1.0, 0.5
SIZE_POWER = 0.5  # makes tiny pieces merge first
# Of ``choose``: what is proposed first among nodes that stay whole equally long, the larger ones
AREA_POWER = 0.25


class Tree(NamedTuple):
    """A binary tree over L pieces with M = 2 L - 1 nodes: leaves first, then merges in their order, the root last."""

    members: np.ndarray  # (M, L) bool: leaves below a node
    cost: np.ndarray  # (M,) cost of the merge that made the node, at least that of the nodes below; 0 for leaves
    parent: np.ndarray  # (M,) index of the parent; the root is its own
    outline: np.ndarray  # (M, 3) of a node's border inside the image: pixels, mean edge, mean object boundary
    inner: np.ndarray  # (M, 2) mean edge and object boundary between a node's two parts; 0 for leaves
    strongest: np.ndarray  # (M,) largest mean object boundary between any two parts that a node was merged of


class _Regions:
    """What is known of the regions while they merge; a new one gets the next number."""

    def __init__(self, pieces: Pieces) -> None:
        count = len(pieces.areas)
        rows = (0, count - 1)
        self.area = np.pad(pieces.areas, rows)
        self.color, self.embedding = (np.pad(one, (rows, (0, 0))) for one in (pieces.colors, pieces.embeddings))
        self.norm = np.linalg.norm(self.embedding, axis=1)
        self.outline, self.inner = np.zeros((2 * count - 1, 3)), np.zeros((2 * count - 1, 2))
        self.strongest = np.zeros(2 * count - 1)
        # of each living region: what it touches, with length and summed boundary of the common border
        self.borders: list[dict[int, np.ndarray]] = [{} for _ in range(2 * count - 1)]
        for (a, b), length, strength in zip(pieces.pairs.tolist(), pieces.lengths, pieces.strengths, strict=True):
            self.borders[a][b] = self.borders[b][a] = np.array([length, *(strength * length)])
        for region in range(count):
            self._sum_up(region)

    def _sum_up(self, region: int) -> None:
        total = sum(self.borders[region].values(), np.zeros(3))
        self.outline[region] = total[0], *(total[1:] / max(total[0], 1))

    def join(self, a: int, b: int, node: int) -> None:
        """Make regions ``a`` and ``b`` the region ``node``."""
        border = self.borders[a][b]
        self.inner[node] = border[1:] / border[0]
        self.strongest[node] = max(self.inner[node, 1], self.strongest[a], self.strongest[b])
        self.area[node] = self.area[a] + self.area[b]
        share = self.area[a] / self.area[node]
        for values in (self.color, self.embedding):
            values[node] = share * values[a] + (1 - share) * values[b]
        self.norm[node] = np.linalg.norm(self.embedding[node])
        joined = dict(self.borders[a])
        for other, part in self.borders[b].items():
            joined[other] = joined[other] + part if other in joined else part
        del joined[a], joined[b]
        for other, part in joined.items():
            beside = self.borders[other]
            beside.pop(a, None)
            beside.pop(b, None)
            beside[node] = part
        self.borders[node], self.borders[a], self.borders[b] = joined, {}, {}
        self._sum_up(node)

    def costs(self, region: int, others: list[int]) -> list[float]:
        """Costs of merging ``region`` with each of ``others``: (BOUNDARY_WEIGHT * object boundary between them + 1 -
        cosine of embeddings + COLOR_WEIGHT * Lab distance / 100) * (smaller area) ** SIZE_POWER."""
        border = np.array([self.borders[region][other] for other in others])
        cosine = self.embedding[others] @ self.embedding[region]
        cosine = cosine / np.maximum(self.norm[others] * self.norm[region], 1e-9)
        color = np.linalg.norm(self.color[others] - self.color[region], axis=1) / 100
        difference = BOUNDARY_WEIGHT * border[:, 2] / border[:, 0] + 1 - cosine + COLOR_WEIGHT * color
        return (difference * np.minimum(self.area[others], self.area[region]) ** SIZE_POWER).tolist()


def merge(pieces: Pieces) -> Tree:
    """Merge adjacent pieces greedily, cheapest pair first."""
    count, regions = len(pieces.areas), _Regions(pieces)
    heap: list[tuple[float, int, int]] = []
    for a in range(count):
        others = sorted(b for b in regions.borders[a] if b > a)
        if others:
            heap += [(price, a, b) for price, b in zip(regions.costs(a, others), others, strict=True)]
    heapq.heapify(heap)
    nodes = 2 * count - 1
    members = np.eye(nodes, count, dtype=bool)
    paid, parent, alive = np.zeros(nodes), np.arange(nodes), [True] * count + [False] * (count - 1)
    for node in range(count, nodes):
        price, a, b = heapq.heappop(heap)
        while not (alive[a] and alive[b]):
            price, a, b = heapq.heappop(heap)
        alive[a], alive[b], alive[node] = False, False, True
        parent[a] = parent[b] = node
        paid[node] = max(price, paid[a], paid[b])
        members[node] = members[a] | members[b]
        regions.join(a, b, node)
        others = sorted(regions.borders[node])
        if others:
            for price, other in zip(regions.costs(node, others), others, strict=True):
                heapq.heappush(heap, (price, other, node))
    return Tree(members, paid, parent, regions.outline, regions.inner, regions.strongest)


def choose(tree: Tree, areas: np.ndarray, limit: int, smallest: float, largest: float) -> np.ndarray:
    """Choose up to ``limit`` nodes, ascending indices: those that stay whole longest while their surroundings merge.
    areas: (L,) shares of the image. Nodes below ``smallest`` or above ``largest`` of the image are left out, but for
    the whole image where there is no other."""
    area = tree.members @ areas
    persistence = tree.cost[tree.parent] - tree.cost
    persistence[-1] = np.inf  # the whole image: there may be only one thing in it
    score = np.where((area >= smallest) & (area <= largest + 1e-9), persistence * area**AREA_POWER, -np.inf)
    order = np.argsort(-score, kind="stable")[:limit]
    chosen = np.sort(order[score[order] > -np.inf])
    return chosen if len(chosen) else np.array([len(score) - 1])
