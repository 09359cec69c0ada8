"""Results as annotations of COCO's JSON. Source: cocodataset.org, data format."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from maskadapter.io import encode_mask
from maskadapter.results.postprocessing import ClassScore, PanopticMap, boxes_of


def panoptic_annotation(panoptic: PanopticMap, file_name: str, image_id: int = 1) -> dict[str, Any]:
    """Describe one panoptic PNG as COCO's JSON does: a list of its segments. Category ids are class index + 1."""
    segments = []
    for segment in panoptic.segments:
        left, top, right, bottom = (int(edge) for edge in boxes_of((panoptic.ids == segment.id)[None])[0])
        segments.append(
            {
                "id": segment.id,
                "category_id": segment.label + 1,
                "area": segment.area,
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
                "score": round(segment.score, 6),
            }
        )
    return {"image_id": image_id, "file_name": file_name, "segments_info": segments}


def instance_annotations(
    found: Iterable[tuple[np.ndarray, Sequence[ClassScore]]], image_id: int = 1, first_id: int = 1
) -> list[dict[str, Any]]:
    """Describe instances as COCO's JSON does, highest score first; empty masks are left out.

    found: masks (H, W) bool, each with its predicted classes; one mask is in memory at a time. first_id: id of the
    first annotation. Category ids are class index + 1.
    """
    rows: list[tuple[float, int, dict[str, Any]]] = []
    for mask, classes in found:
        area = int(mask.sum())
        if not area:
            continue
        x, y, right, bottom = (float(edge) for edge in boxes_of(mask[None])[0])
        shape = {"segmentation": encode_mask(mask), "area": area, "bbox": [x, y, right - x, bottom - y], "iscrowd": 0}
        for one in classes:
            facts = {"category_id": one.label + 1, "score": round(one.score, 6)}
            rows.append((-one.score, one.rank, {"image_id": image_id, **facts, **shape}))
    rows.sort(key=lambda row: row[:2])
    return [{"id": number, **annotation} for number, (_, _, annotation) in enumerate(rows, start=first_id)]
