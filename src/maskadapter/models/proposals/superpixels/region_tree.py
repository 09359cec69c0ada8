"""Merge the pieces of an image pair by pair into a tree, and choose proposals among its nodes."""

import heapq
from typing import NamedTuple

import numpy as np

SPLIT_BONUS = 0.7  # of ``cut``, 0 to 1: the smaller, the finer the cut


class Tree(NamedTuple):
    """A binary tree over L pieces with M = 2 L - 1 nodes: leaves first, then merges in their order, the root last."""

    members: np.ndarray  # (M, L) bool: leaves below a node
    cost: np.ndarray  # (M,) cost of the merge that made the node; 0 for leaves
    parent: np.ndarray  # (M,) index of the parent; the root is its own


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
