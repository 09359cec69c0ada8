"""From proposals to semantic, panoptic and instance results: pure functions of masks and probabilities.

Common arguments: ``masks``, an ``Enlarger`` of (N, h, w) mask logits; ``probs`` (N, K + 1), class probabilities with
void last, each row summing to 1. Source: official semantic_inference, panoptic_inference, instance_inference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from maskadapter.resampling import Enlarger

SemanticOrder = Literal["masks-first", "classes-first"]


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map. id: its value in the map, from 1. label: index of its class. score: 0 to 1."""

    id: int
    label: int
    is_thing: bool
    score: float
    area: int


@dataclass(frozen=True)
class PanopticMap:
    """ids: (H, W) int32, 0 = no segment. segments: one for every id."""

    ids: np.ndarray
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Instances:
    """Things found, best first. masks (N, H, W) bool, boxes (N, 4) xyxy in pixels, labels (N,) int, scores (N,) 0 to
    1."""

    masks: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def semantic_scores(masks: Enlarger, probs: Tensor, order: SemanticOrder) -> Iterator[tuple[slice, Tensor]]:
    """Score of every class at every pixel, a band of rows at a time: (rows, (K, rows, W)).

    The sum over proposals of class probability times mask probability. ``order`` says what is brought to the picture's
    size: ``"masks-first"`` the mask logits, ``"classes-first"`` the class map computed at the network's size. The
    official code takes the second when only the semantic result is asked for.
    """
    class_probs = probs[:, :-1]
    for rows in masks.bands(channels=class_probs.shape[1]):
        if order == "masks-first":
            yield rows, torch.einsum("nk,nhw->khw", class_probs, masks.logits(rows).sigmoid())
        else:
            small = masks.at_network_size(masks.network_rows(rows)).sigmoid()
            yield rows, masks.to_picture(torch.einsum("nk,nhw->khw", class_probs, small), rows)


def semantic_map(masks: Enlarger, probs: Tensor, order: SemanticOrder) -> np.ndarray:
    """(H, W) int32: the class with the highest score at every pixel; -1 everywhere when there is no proposal."""
    labels = np.full(masks.frame.picture, -1, dtype=np.int32)
    if len(probs):
        for rows, scores in semantic_scores(masks, probs, order):
            labels[rows] = scores.argmax(dim=0).cpu().numpy()
    return labels


def panoptic_map(
    masks: Enlarger, probs: Tensor, is_thing: Sequence[bool], overlap_threshold: float, score_threshold: float = 0.0
) -> PanopticMap:
    """Every pixel to one segment.

    A pixel goes to the kept proposal with the highest class score times mask probability. A proposal is dropped when
    what it wins is less than ``overlap_threshold`` of its own area; its pixels stay empty. Stuff of one class is one
    segment. Proposals are kept when void is not their best class and the best score exceeds ``score_threshold``.
    """
    scores, labels = probs.max(dim=-1)
    kept = ((labels != probs.shape[1] - 1) & (scores > score_threshold)).nonzero().flatten()
    height, width = masks.frame.picture
    ids = np.zeros((height, width), dtype=np.int32)
    if not len(kept):
        return PanopticMap(ids, ())

    winners = np.empty((height, width), dtype=np.int32)
    inside = np.empty((height, width), dtype=bool)
    own_area = torch.zeros(len(kept), dtype=torch.long, device=probs.device)
    for rows in masks.bands():
        mask_probs = masks.logits(rows)[kept].sigmoid()
        own_area += (mask_probs >= 0.5).flatten(1).sum(dim=1)
        winner = (scores[kept, None, None] * mask_probs).argmax(dim=0)
        winners[rows] = winner.cpu().numpy()
        inside[rows] = (mask_probs.gather(0, winner[None])[0] >= 0.5).cpu().numpy()

    won_area = np.bincount(winners.ravel(), minlength=len(kept))
    won_inside = np.bincount(winners[inside], minlength=len(kept))
    # The ratio of whole numbers is taken in float64, as the official code's Python integers are.
    enough = won_area >= overlap_threshold * own_area.cpu().numpy()
    chosen = np.flatnonzero(enough & (won_inside > 0) & (own_area.cpu().numpy() > 0))
    segment_of, segments = _number_segments(chosen, labels[kept].tolist(), scores[kept].tolist(), is_thing)
    new_ids = np.zeros(len(kept), dtype=np.int32)
    new_ids[list(segment_of)] = list(segment_of.values())
    ids = np.where(inside, new_ids[winners], 0).astype(np.int32)
    areas = np.bincount(ids.ravel(), minlength=len(segments) + 1)
    return PanopticMap(ids, tuple(Segment(i, *facts, area=int(areas[i])) for i, facts in enumerate(segments, start=1)))


def _number_segments(
    chosen: np.ndarray, labels: list[int], scores: list[float], is_thing: Sequence[bool]
) -> tuple[dict[int, int], list[tuple[int, bool, float]]]:
    """The id of every chosen proposal, and (label, is_thing, score) of every id from 1; stuff shares the id of its
    class."""
    segment_of: dict[int, int] = {}
    segments: list[tuple[int, bool, float]] = []
    stuff: dict[int, int] = {}
    for proposal in chosen.tolist():
        label = labels[proposal]
        if not is_thing[label] and label in stuff:
            segment_of[proposal] = stuff[label]
            continue
        segments.append((label, is_thing[label], scores[proposal]))
        segment_of[proposal] = len(segments)
        if not is_thing[label]:
            stuff[label] = len(segments)
    return segment_of, segments


def instances(masks: Enlarger, probs: Tensor, is_thing: Sequence[bool], top: int = 100) -> Instances:
    """The things among the ``top`` best (proposal, class) pairs; a proposal can appear once for each class.

    Pairs of stuff are dropped after the best were taken, as the official code does: fewer than ``top`` may be left.
    Score: class probability times the mean mask probability inside the mask (logit > 0).
    """
    height, width = masks.frame.picture
    class_probs = probs[:, :-1]
    scores, best = class_probs.flatten().topk(min(top, class_probs.numel()))
    labels = best % class_probs.shape[1]
    things = torch.tensor(is_thing, dtype=torch.bool, device=probs.device)[labels]
    scores, labels, proposals = scores[things], labels[things], (best // class_probs.shape[1])[things]
    used, pair = proposals.unique(return_inverse=True)

    binary = np.zeros((len(used), height, width), dtype=bool)
    inside_sum = torch.zeros(len(used), device=probs.device)
    for rows in masks.bands():
        logits = masks.logits(rows)[used]
        inside_sum += (logits.sigmoid() * (logits > 0)).flatten(1).sum(dim=1)
        binary[:, rows] = (logits > 0).cpu().numpy()
    area = torch.from_numpy(binary.sum(axis=(1, 2))).to(inside_sum)
    scores = scores * (inside_sum / (area + 1e-6))[pair]

    order = scores.argsort(descending=True, stable=True)
    pair = pair[order].cpu().numpy()
    return Instances(binary[pair], _boxes(binary)[pair], labels[order].cpu().numpy(), scores[order].cpu().numpy())


def _boxes(masks: np.ndarray) -> np.ndarray:
    """(N, H, W) bool -> (N, 4) float32 xyxy, the right and bottom edge exclusive; zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
