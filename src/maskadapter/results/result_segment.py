"""The segments of a result: masks with their classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.results.counting import pixel_counts
from maskadapter.results.postprocessing import PanopticMap, Segment
from maskadapter.system.error_text import did_you_mean
from maskadapter.types import CompactMask, Size
from maskadapter.vocabulary import Vocabulary

NONE = "none of them"


@dataclass(frozen=True, eq=False, repr=False)
class ResultSegment:
    """One segment of an image.

    id: from 1; its value in ``panoptic().ids``. label: index of the class, -1 where the mask is empty or one of the
    background's classes won. class_name: the class's, "none of them" for -1. score: 0 to 1, the probability of what
    won, NaN for an empty mask. proposal: its row in the result's ``probs``.
    probs: (C,) float32, the probabilities of ``names``."""

    id: int
    label: int
    class_name: str
    is_thing: bool
    score: float
    compact: CompactMask
    proposal: int
    probs: np.ndarray
    names: tuple[str, ...]

    def __repr__(self) -> str:
        facts = f"area={self.area}, box={self.box}"
        return f"ResultSegment(id={self.id}, class_name={self.class_name!r}, score={self.score:.3g}, {facts})"

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool at the image's size, made anew."""
        return self.compact.mask

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels, right and bottom exclusive; four zeros for an empty mask."""
        return self.compact.box

    @property
    def area(self) -> int:
        """Pixels."""
        return self.compact.area

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The ``count`` most probable classes, best first, with probabilities from 0 to 1; those of the background are
        among them, and "(nothing)" is void. None for an empty mask."""
        if not self.area:
            return []
        best = (-self.probs).argsort(kind="stable")[:count].tolist()
        return [(self.names[index], float(self.probs[index])) for index in best]

    def top_text(self, count: int = 5) -> str:
        """The ``count`` most probable classes in one line: "cat 61%, dog 20%"."""
        return ", ".join(f"{name} {probability:.0%}" for name, probability in self.top(count))


def masks_of(segments: Sequence[ResultSegment], size: Size) -> np.ndarray:
    """(N, H, W) bool: the masks of segments of an image of ``size``."""
    masks = np.zeros((len(segments), *size), bool)
    for mask, segment in zip(masks, segments, strict=True):
        mask[segment.compact.inside] = segment.compact.crop
    return masks


def classified(
    masks: Sequence[CompactMask], probs: np.ndarray, vocabulary: Vocabulary, others: Sequence[str] = ()
) -> tuple[ResultSegment, ...]:
    """N masks as segments numbered from 1, each with the best class of its row of probs (N, K + len(others)), which
    are those of the K classes of ``vocabulary`` and of ``others``. An empty mask has no class."""
    names = (*vocabulary.names, *others)
    segments = []
    for index, (mask, row) in enumerate(zip(masks, probs, strict=True)):
        best = int(row.argmax()) if mask.area else -1
        label = best if best < len(vocabulary) else -1
        score = float(row[best]) if mask.area else float("nan")
        class_name, is_thing = (names[label], vocabulary.is_thing[label]) if label >= 0 else (NONE, False)
        segments.append(ResultSegment(index + 1, label, class_name, is_thing, score, mask, index, row, names))
    return tuple(segments)


def filtered(
    segments: Iterable[ResultSegment],
    vocabulary: Vocabulary,
    score: float = 0.0,
    classes: Any = None,
) -> tuple[ResultSegment, ...]:
    """The segments with a class, of at least ``score``, of some ``classes``: whatever ``Vocabulary.of`` takes.
    Raises MaskAdapterError for a name that no class has, and for a score that is not 0 to 1."""
    if not 0 <= score <= 1:
        raise MaskAdapterError(f"score is {score}: a number from 0 to 1 is needed")
    names = vocabulary.synonyms if classes is None else Vocabulary.of(classes).synonyms
    known = {name.casefold() for name in vocabulary.synonyms}
    if unknown := [name for name in names if name.casefold() not in known]:
        hint = did_you_mean(unknown[0], vocabulary.synonyms, otherwise="give names of the classes")
        raise MaskAdapterError(f'"{unknown[0]}" is none of the classes; {hint}')
    chosen = {name.casefold() for name in names}  # case does not tell classes apart
    wanted = [not chosen.isdisjoint(name.casefold() for name in synonyms) for synonyms in vocabulary.classes]
    return tuple(one for one in segments if one.label >= 0 and wanted[one.label] and one.score >= score)


def painted(segments: Iterable[ResultSegment], size: Size) -> PanopticMap:
    """Segments that may overlap as a panoptic map: a pixel goes to the smallest, of equal ones to the first. Those
    without a class leave their pixels empty; those that are hidden altogether are not in its list."""
    ids = np.zeros(size, np.int32)
    ordered = sorted(segments, key=lambda one: (-one.area, -one.id))
    for one in ordered:
        ids[one.compact.inside][one.compact.crop] = one.id if one.label >= 0 else 0
    areas = pixel_counts(ids, 0, max((one.id for one in ordered), default=0) + 1)
    return PanopticMap(
        ids,
        tuple(
            Segment(one.id, one.label, one.is_thing, one.score, int(areas[one.id]), one.proposal)
            for one in sorted(ordered, key=lambda one: one.id)
            if areas[one.id]
        ),
    )
