"""Make semantic, panoptic and instance results of proposals: pure functions of masks and probabilities.

Common arguments: ``masks``, an ``Upsampler`` of (N, h, w) mask logits; ``probs`` (N, K + 1), class probabilities with
void last, each row summing to 1. Source: official semantic_inference, panoptic_inference, instance_inference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from maskadapter.results.class_argmax import best_classes, best_proposals
from maskadapter.results.counting import pixel_counts
from maskadapter.results.upsampling import Upsampler

SemanticOrder = Literal["masks-first", "classes-first"]


@dataclass(frozen=True)
class Segment:
    """id: value in the panoptic map, from 1. label: index of the class. score: 0 to 1. area: pixels. proposal: index
    of the one that it was made from; of the first of those that became one stuff segment."""

    id: int
    label: int
    is_thing: bool
    score: float
    area: int
    proposal: int


@dataclass(frozen=True)
class PanopticMap:
    """ids: (H, W) int32, 0 = no segment. segments: one for every id."""

    ids: np.ndarray
    segments: tuple[Segment, ...]

    @property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool: the pixels of every segment, made anew at each access."""
        return self.ids == np.array([segment.id for segment in self.segments], np.int32)[:, None, None]

    @property
    def labels(self) -> np.ndarray:
        """(H, W) int32: the class of every pixel, -1 where there is no segment."""
        label_of = np.full(max((segment.id for segment in self.segments), default=0) + 1, -1, np.int32)
        label_of[[segment.id for segment in self.segments]] = [segment.label for segment in self.segments]
        return label_of[self.ids]


@dataclass(frozen=True)
class Instances:
    """Things, best first: masks (N, H, W) bool, boxes (N, 4) xyxy in pixels, labels (N,) int, scores (N,) 0 to 1."""

    masks: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


ScoredClass = tuple[float, int, int]
"""Of a mask: score, 0 to 1; rank among all pairs of proposal and class by probability; label."""


def semantic_scores(masks: Upsampler, probs: Tensor, order: SemanticOrder) -> Iterator[tuple[slice, Tensor]]:
    """Score of every class at every pixel, a tile of rows at a time: (rows, (K, rows, W)), the sum over proposals of
    class probability times mask probability. ``order``: whether the mask logits are upsampled to the image's size, or
    the class map at the network's size, as the official code does when only the semantic result is asked for."""
    class_probs = probs[:, :-1]
    for rows in masks.tiles(channels=class_probs.shape[1]):
        if order == "masks-first":
            yield rows, torch.einsum("nk,nhw->khw", class_probs, masks.logits(rows).sigmoid())
        else:
            small = masks.at_network_size(masks.network_rows(rows)).sigmoid()
            yield rows, masks.to_original(torch.einsum("nk,nhw->khw", class_probs, small), rows)


def semantic_map(masks: Upsampler, probs: Tensor, order: SemanticOrder) -> np.ndarray:
    """The class with the highest score at every pixel, (H, W) int32; -1 everywhere when no proposal has a class."""
    if not probs[:, :-1].any():
        return np.full(masks.sizes.original, -1, dtype=np.int32)
    if probs.device.type == "cpu":  # a GPU would have to wait for each of many small blocks
        return best_classes(masks, probs[:, :-1], order == "masks-first").numpy()
    tiles = [scores.argmax(dim=0).int() for _, scores in semantic_scores(masks, probs, order)]
    return torch.cat(tiles).cpu().numpy()


def panoptic_map(
    masks: Upsampler, probs: Tensor, is_thing: Sequence[bool], overlap_threshold: float, score_threshold: float = 0.0
) -> PanopticMap:
    """Segments that do not overlap: a pixel goes to the kept proposal with the highest score times mask probability.

    Proposals are kept when void is not their best class and the best score exceeds ``score_threshold``. One that wins
    less than ``overlap_threshold`` of its own area is dropped, its pixels stay empty. Stuff of a class is one segment.
    """
    scores, labels = probs.max(dim=-1)
    kept = ((labels != probs.shape[1] - 1) & (scores > score_threshold)).nonzero().flatten()
    size = masks.sizes.original
    if not len(kept):
        return PanopticMap(np.zeros(size, np.int32), ())
    masks = masks.only(kept)
    find = best_proposals if probs.device.type == "cpu" else best_proposals_by_rows
    winners, inside, own_area = (found.cpu().numpy() for found in find(masks, scores[kept]))
    won_area = pixel_counts(winners, 0, len(kept))
    winners[~inside] = -1
    won_inside = pixel_counts(winners, -1, len(kept) + 1)[1:]
    # The ratio of whole numbers is taken in float64, as the official code's Python integers are.
    enough = won_area >= overlap_threshold * own_area
    chosen = np.flatnonzero(enough & (won_inside > 0) & (own_area > 0))
    new_ids = np.zeros(len(kept) + 1, dtype=np.int32)  # the last is that of -1
    numbers: dict[tuple[int, int], int] = {}  # a thing is a segment of its own, stuff of one class one segment
    segments: list[Segment] = []
    for place in chosen.tolist():
        label = int(labels[kept[place]])
        new_ids[place] = number = numbers.setdefault((label, place if is_thing[label] else -1), len(numbers) + 1)
        if number > len(segments):
            score, proposal = float(scores[kept[place]]), int(kept[place])
            segments.append(Segment(number, label, is_thing[label], score, 0, proposal))
    ids = new_ids[winners]
    areas = pixel_counts(ids, 0, len(segments) + 1).tolist()
    return PanopticMap(ids, tuple(replace(segment, area=areas[segment.id]) for segment in segments))


def best_proposals_by_rows(masks: Upsampler, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As ``best_proposals``; with all proposals everywhere, for a GPU, which would have to wait for small blocks."""
    parts = []
    for rows in masks.tiles():
        mask_probs = masks.logits(rows).sigmoid()
        winner = (scores[:, None, None] * mask_probs).argmax(dim=0)
        area = (mask_probs >= 0.5).flatten(1).sum(dim=1)
        parts.append((winner.int(), mask_probs.gather(0, winner[None])[0] >= 0.5, area))
    winners, inside, areas = zip(*parts, strict=True)
    return torch.cat(winners), torch.cat(inside), torch.stack(areas).sum(dim=0)


def without_labels_from(panoptic: PanopticMap, num_classes: int) -> PanopticMap:
    """Drop the segments whose label is ``num_classes`` or more; number the others from 1 again."""
    return _numbered_anew(panoptic, [segment for segment in panoptic.segments if segment.label < num_classes])


def labels_last_from(panoptic: PanopticMap, num_classes: int) -> PanopticMap:
    """Number the segments whose label is ``num_classes`` or more after the others."""
    return _numbered_anew(panoptic, sorted(panoptic.segments, key=lambda segment: segment.label >= num_classes))


def _numbered_anew(panoptic: PanopticMap, kept: Sequence[Segment]) -> PanopticMap:
    new_ids = np.zeros(len(panoptic.segments) + 1, dtype=np.int32)
    new_ids[[segment.id for segment in kept]] = range(1, len(kept) + 1)
    segments = tuple(replace(segment, id=number) for number, segment in enumerate(kept, start=1))
    return PanopticMap(new_ids[panoptic.ids], segments)


def join_touching(panoptic: PanopticMap) -> PanopticMap:
    """Join touching segments of one class, things too, for proposal heads whose proposals are parts of things. The
    score is the mean by area; the proposal is that of the largest part."""
    ids, segments = panoptic.ids, panoptic.segments
    labels = np.array([-1, *(segment.label for segment in segments)])
    sides = ((ids[:-1], ids[1:]), (ids[:, :-1], ids[:, 1:]))
    pairs = [(a[differ], b[differ]) for a, b in sides for differ in [a != b]]
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    same = labels[one] == labels[other]
    touches = coo_array((np.ones(same.sum(), bool), (one[same], other[same])), shape=(len(labels), len(labels)))
    count, group = connected_components(touches, directed=False)
    parts: list[list[Segment]] = [[] for _ in range(count)]
    for segment in segments:
        parts[group[segment.id]].append(segment)
    joined: list[Segment] = []
    new_ids = np.zeros(len(labels), dtype=np.int32)
    for members in filter(None, parts):
        area = sum(part.area for part in members)
        score = sum(part.score * part.area for part in members) / area
        joined.append(replace(max(members, key=lambda part: part.area), id=len(joined) + 1, area=area, score=score))
        new_ids[[part.id for part in members]] = len(joined)
    return PanopticMap(new_ids[ids], tuple(joined))


def instances(masks: Upsampler, probs: Tensor, is_thing: Sequence[bool], top: int = 100) -> Instances:
    """The things among the ``top`` best (proposal, class) pairs, best first; see ``instance_masks``."""
    rows = [(*one, mask) for _, mask, classes in instance_masks(masks, probs, is_thing, top) for one in classes]
    rows.sort(key=lambda row: (-row[0], row[1]))
    found = np.stack([row[3] for row in rows]) if rows else np.zeros((0, *masks.sizes.original), bool)
    labels, scores = np.array([row[2] for row in rows], np.int64), np.array([row[0] for row in rows], np.float32)
    return Instances(found, boxes_of(found), labels, scores)


def instance_masks(
    masks: Upsampler, probs: Tensor, is_thing: Sequence[bool], top: int = 100
) -> Iterator[tuple[int, np.ndarray, list[ScoredClass]]]:
    """Yield each proposal of the ``top`` best (proposal, class) pairs: its index, its mask (H, W) bool, and its classes
    among them.

    Pairs of stuff are dropped after the best were taken, as the official code does: fewer than ``top`` may be left.
    Score: class probability times the mean mask probability inside the mask (logit > 0).
    """
    class_probs = probs[:, :-1]
    scores, best = class_probs.flatten().topk(min(top, class_probs.numel()))
    pairs: dict[int, list[ScoredClass]] = {}
    for rank, (score, pair) in enumerate(zip(scores.tolist(), best.tolist(), strict=True)):
        proposal, label = divmod(pair, class_probs.shape[1])
        if is_thing[label] and score > 0:  # 0: a given mask that is empty
            pairs.setdefault(proposal, []).append((score, rank, label))
    for proposal, classes in pairs.items():
        one = masks.only(torch.tensor([proposal], device=probs.device))
        mask = np.zeros(masks.sizes.original, dtype=bool)
        inside_sum = 0.0
        for rows in one.tiles():
            if not one.may_be_inside(rows):
                continue
            logits = one.logits(rows)[0]
            inside_sum += float((logits.sigmoid() * (logits > 0)).sum())
            mask[rows] = (logits > 0).cpu().numpy()
        sureness = inside_sum / (float(mask.sum()) + 1e-6)
        yield proposal, mask, [(score * sureness, rank, label) for score, rank, label in classes]


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """Boxes of masks (N, H, W) bool: (N, 4) float32 xyxy, right and bottom edge exclusive; zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
