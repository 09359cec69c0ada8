"""Results as annotations of COCO's JSON. Source: cocodataset.org, data format."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from maskadapter.io import encode_mask
from maskadapter.results.postprocessing import PanopticMap, ScoredClass, boxes_of
from maskadapter.results.result_segment import ResultSegment


def panoptic_annotation(panoptic: PanopticMap, file_name: str) -> dict[str, Any]:
    """Describe one panoptic PNG as COCO's JSON does: a list of its segments. Category ids are class index + 1."""
    segments = []
    boxes = dict(enumerate(ndimage.find_objects(panoptic.ids), start=1))
    for segment in panoptic.segments:
        rows, columns = boxes.get(segment.id) or (slice(0, 0), slice(0, 0))
        bbox = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
        shape = {"area": segment.area, "bbox": bbox, "iscrowd": 0}
        ids = {"id": segment.id, "category_id": segment.label + 1}
        segments.append({**ids, **shape, "score": round(segment.score, 6)})
    return {"image_id": 1, "file_name": file_name, "segments_info": segments}


def instance_annotations(found: Iterable[tuple[int, np.ndarray, Sequence[ScoredClass]]]) -> list[dict[str, Any]]:
    """Describe ``instance_masks`` as COCO's JSON does, highest score first; empty masks are left out."""
    rows: list[tuple[float, int, dict[str, Any]]] = []
    for _, mask, classes in found:
        if not mask.any():
            continue
        x, y, right, bottom = (float(edge) for edge in boxes_of(mask[None])[0])
        shape = {"segmentation": encode_mask(mask), "area": int(mask.sum()), "bbox": [x, y, right - x, bottom - y]}
        for score, rank, label in classes:
            facts = {"image_id": 1, "category_id": label + 1, "score": round(score, 6)}
            rows.append((-score, rank, {**facts, **shape, "iscrowd": 0}))
    rows.sort(key=lambda row: row[:2])
    return [{"id": number, **annotation} for number, (_, _, annotation) in enumerate(rows, start=1)]


def segment_annotations(segments: Iterable[ResultSegment]) -> list[dict[str, Any]]:
    """Describe the segments that have a class as COCO's JSON does, each under its own id and with its whole mask."""
    return [
        {
            "id": one.id,
            "image_id": 1,
            "category_id": one.label + 1,
            "score": round(one.score, 6),
            "segmentation": encode_mask(one.mask),
            "area": one.area,
            "bbox": [*map(float, one.box[:2]), float(one.box[2] - one.box[0]), float(one.box[3] - one.box[1])],
            "iscrowd": 0,
        }
        for one in segments
        if one.label >= 0
    ]
