"""The segments of a segmentation, by what is asked for: panoptic, semantic or instances."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from maskadapter.results.postprocessing import instance_masks
from maskadapter.results.result_segment import ResultSegment
from maskadapter.results.segmentation import Segmentation
from maskadapter.results.upsampling import Upsampler
from maskadapter.types import CompactMask

Mode = Literal["panoptic", "semantic", "instances"]


def segments_by_mode(result: Segmentation, mode: Mode, score: float = 0.0, top: int = 100) -> tuple[ResultSegment, ...]:
    """The segments of one mode, with masks in little memory.

    mode: ``panoptic``, those of the result; ``semantic``, the pixels of each class that occurs in ``semantic()``, in
    the order of the classes, with the score and the probabilities of the proposal in which the class is most probable;
    ``instances``, those of ``instances()``, best first, from the ``top`` best pairs. score: 0 to 1, the least of a
    segment; of ``semantic``, of the segments that it is made of, see ``Segmentation.filter``."""
    if mode == "instances":
        found = [one for one in _instances(result, top) if one.score >= score]
        return tuple(_numbered(sorted(found, key=lambda one: -one.score)))
    kept = result.filter(score=score) if score else result
    return kept.segments if mode == "panoptic" else tuple(_numbered(_classes(kept)))


def _instances(result: Segmentation, top: int) -> Iterator[ResultSegment]:
    if result.fixed is not None:
        yield from sorted((one for one in result.fixed if one.is_thing), key=lambda one: -one.score)[:top]
        return
    names, probs = _names(result), result.probs.float().cpu().numpy()
    class_probs = result.probs[:, [*range(len(result.vocabulary)), -1]]
    upsampler = Upsampler(result.mask_logits, result.sizes)
    for proposal, mask, classes in instance_masks(upsampler, class_probs, result.vocabulary.is_thing, top):
        if mask.any():
            compact, row = CompactMask.of(mask), probs[proposal]
            for score, _, label in classes:
                yield ResultSegment(0, label, names[label], True, score, compact, proposal, row, names)


def _classes(result: Segmentation) -> Iterator[ResultSegment]:
    labels, names, is_thing = result.semantic(), _names(result), result.vocabulary.is_thing
    probs = result.probs.float().cpu().numpy()
    for label in np.unique(labels[labels >= 0]).tolist():
        proposal = int(probs[:, label].argmax())
        row, compact = probs[proposal], CompactMask.of(labels == label)
        score = float(row[label])
        yield ResultSegment(0, label, names[label], is_thing[label], score, compact, proposal, row, names)


def _numbered(segments: Iterable[ResultSegment]) -> Iterator[ResultSegment]:
    return (replace(one, id=number) for number, one in enumerate(segments, start=1))


def _names(result: Segmentation) -> tuple[str, ...]:
    """What the columns of ``probs`` stand for."""
    return *result.class_names, *result.background, "(nothing)"
