"""Things followed from frame to frame: which mask of this frame shows the thing that a mask of the last one showed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

_LEAST_IOU = 0.2  # of two masks of one class that may show one thing
_LEAST_IOU_OF_CLASSES = 0.5  # of two classes: a model that wavers between them gives the same mask to either
_LEAST_COSINE = 0.8  # of masks that do not overlap
_REACH = 2.0  # such a mask may be away by this many times the thing's own extent
_APPEARANCE = 0.5  # weight of the mask embeddings' cosine beside the IoU
_KEPT_EMBEDDING = 0.8  # share of the old embedding in the mean of a thing's embeddings
_KEPT_VELOCITY = 0.5
_SAME_AREA = 0.75  # smaller by the larger area: below it a thing is partly hidden, and its center says little


@dataclass(eq=False)
class _Track:
    id: int
    label: int
    mask: np.ndarray  # (h, w) bool, as it was last seen
    embedding: np.ndarray | None  # (D,) of unit length
    velocity: np.ndarray  # (y, x), pixels of the mask by unit of time
    unseen: float = 0.0  # time since it was seen
    misses: int = 0


class Tracker:
    """Gives the things of each frame their ids: from 1, one for each thing that was ever seen.

    A mask continues a track by how far it overlaps where the thing was, or where it would be if it had gone on as
    before, and by how similar their mask embeddings are. All pairs are weighed at once, so that no mask goes to two
    tracks (Hungarian method). A thing that is not seen is waited for during ``patience`` updates.

    It has no memory of what a thing looked like long ago, so that things of one kind that cross may change ids."""

    def __init__(self, patience: int = 30) -> None:
        self._patience = patience
        self._tracks: list[_Track] = []
        self._last_id = 0

    def update(
        self, masks: np.ndarray, labels: Sequence[int], embeddings: np.ndarray | None = None, elapsed: float = 1.0
    ) -> list[int]:
        """The ids of the things in the next frame.

        masks: (N, h, w) bool, of one size in all frames; of few pixels, since every pair is compared. labels: N
        classes. embeddings: (N, D) float, of any length; None compares masks alone. elapsed: time since the last
        update, in any unit that is above 0."""
        embeddings = None if embeddings is None else _unit(embeddings)
        expected = [_shifted(one.mask, one.velocity * (one.unseen + elapsed)) for one in self._tracks]
        pairs = self._pairs(masks, labels, embeddings, expected)
        ids = [0] * len(masks)
        for track in self._tracks:
            track.unseen += elapsed
            track.misses += 1
        for place, index in pairs:
            self._follow(self._tracks[place], masks[index], labels[index], _row(embeddings, index))
            ids[index] = self._tracks[place].id
        for index in (index for index, id in enumerate(ids) if not id):
            self._last_id += 1
            ids[index] = self._last_id
            still = np.zeros(2)
            self._tracks.append(_Track(self._last_id, labels[index], masks[index], _row(embeddings, index), still))
        self._tracks = [one for one in self._tracks if one.misses <= self._patience]
        return ids

    def _pairs(
        self, masks: np.ndarray, labels: Sequence[int], embeddings: np.ndarray | None, expected: list[np.ndarray]
    ) -> list[tuple[int, int]]:
        """Places of tracks and of masks that belong together."""
        if not self._tracks or not len(masks):
            return []
        before = np.stack([one.mask for one in self._tracks])
        iou = np.maximum(_ious(before, masks), _ious(np.stack(expected), masks))
        cosine = np.zeros_like(iou)
        if embeddings is not None:
            known = [np.zeros_like(embeddings[0]) if one.embedding is None else one.embedding for one in self._tracks]
            cosine = np.maximum(np.stack(known) @ embeddings.T, 0)
        same = np.equal.outer([one.label for one in self._tracks], np.asarray(labels))
        moved = same & (cosine >= _LEAST_COSINE) & self._within_reach(np.stack(expected), masks)
        allowed = (iou >= np.where(same, _LEAST_IOU, _LEAST_IOU_OF_CLASSES)) | moved
        worth = np.where(allowed, iou + _APPEARANCE * cosine, 0)
        places, indices = linear_sum_assignment(worth, maximize=True)
        return [(place, index) for place, index in zip(places, indices, strict=True) if allowed[place, index]]

    def _within_reach(self, expected: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """(T, N) bool: whether a mask is as near to a track as a thing of its size gets."""
        extents = np.sqrt([max(1, one.mask.sum()) for one in self._tracks])
        places = np.stack([_center(one) for one in expected])
        away = np.linalg.norm(places[:, None] - np.stack([_center(one) for one in masks]), axis=-1)
        return away <= _REACH * extents[:, None] * np.array([1 + one.misses for one in self._tracks])[:, None]

    def _follow(self, track: _Track, mask: np.ndarray, label: int, embedding: np.ndarray | None) -> None:
        before, now = sorted((int(track.mask.sum()), int(mask.sum())))
        if before >= _SAME_AREA * now > 0:
            velocity = (_center(mask) - _center(track.mask)) / track.unseen
            track.velocity = _KEPT_VELOCITY * track.velocity + (1 - _KEPT_VELOCITY) * velocity
        if embedding is not None and track.embedding is not None:
            embedding = _unit(_KEPT_EMBEDDING * track.embedding + (1 - _KEPT_EMBEDDING) * embedding)
        track.mask, track.label, track.embedding = mask, label, embedding
        track.unseen, track.misses = 0.0, 0


def _ious(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, M) of masks (N, h, w) and (M, h, w)."""
    rows, columns = (masks.reshape(len(masks), -1).astype(np.float32) for masks in (one, other))
    common = rows @ columns.T
    union = rows.sum(axis=1)[:, None] + columns.sum(axis=1) - common
    return common / np.maximum(union, 1)


def _shifted(mask: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The mask moved by (y, x) pixels; what leaves the image is gone."""
    height, width = mask.shape
    down, right = (int(value) for value in np.clip(np.rint(by), (-height, -width), (height, width)))
    moved = np.zeros_like(mask)
    moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = mask[
        max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
    ]
    return moved


def _center(mask: np.ndarray) -> np.ndarray:
    """(y, x); NaN, which is near to nothing, for an empty mask."""
    ys, xs = np.nonzero(mask)
    return np.array([ys.mean(), xs.mean()]) if len(ys) else np.full(2, np.nan)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _row(embeddings: np.ndarray | None, index: int) -> np.ndarray | None:
    return None if embeddings is None else embeddings[index]
