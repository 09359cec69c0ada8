"""Instance segmentation: average precision as COCO defines it, computed by pycocotools."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from maskadapter.io.coco_format import encode_mask
from maskadapter.results.postprocessing import Instances
from maskadapter.types.target import Target

TOP = 100
"""Instances of an image that count. Source: COCO's maxDets, and the official configurations' TEST.DETECTIONS."""

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""pycocotools' first six. Small, medium and large are by the area of the mask in pixels: below 32 x 32, up to 96 x 96,
above. (COCO's own files state the area of the polygons instead, which differs by some pixels.)"""


def true_instances(target: Target, is_thing: Sequence[bool]) -> list[dict[str, Any]]:
    """The things of a truth, crowds included: ``label``, ``segmentation`` (run lengths), ``area``, ``iscrowd``."""
    return [
        {"label": int(label), "segmentation": encode_mask(mask), "area": int(mask.sum()), "iscrowd": int(crowd)}
        for mask, label, crowd in zip(target.masks(), target.classes, target.is_crowd, strict=True)
        if is_thing[label] and mask.any()
    ]


def found_instances(instances: Instances) -> list[dict[str, Any]]:
    """What was found, best first: ``label``, ``segmentation``, ``score``. No boxes: with them pycocotools would take
    the box's area for the mask's."""
    return [
        {"label": int(label), "segmentation": encode_mask(mask), "score": float(score)}
        for mask, label, score in zip(instances.masks, instances.labels, instances.scores, strict=True)
    ][:TOP]


def average_precision(
    images: Iterable[tuple[int, tuple[int, int], list[dict[str, Any]], list[dict[str, Any]]]],
    is_thing: Sequence[bool],
) -> tuple[dict[str, float], np.ndarray]:
    """AP over the thing classes that the ground truth holds: each of ``MEASURES``, and (K,) AP of every class; 0 to 1, NaN
    where the ground truth holds nothing of the kind.

    images: number, (height, width), ``true_instances`` and ``found_instances`` of every image, in order of number.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    entries: list[dict[str, Any]] = []
    true: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, (height, width), of_truth, of_model in images:
        entries.append({"id": number, "height": height, "width": width})
        true += [_annotation(instance, number) for instance in of_truth]
        found += [_annotation(instance, number) for instance in of_model if is_thing[instance["label"]]]
    per_class = np.full(len(is_thing), math.nan)
    if not true:
        return dict.fromkeys(METRICS, math.nan), per_class
    things = [{"id": label + 1, "name": str(label)} for label, thing in enumerate(is_thing) if thing]
    with redirect_stdout(StringIO()):  # pycocotools tells every step
        truth = COCO()
        # Numbers from 1: pycocotools takes a match with annotation 0 for none.
        truth.dataset = {"images": entries, "categories": things, "annotations": _numbered(true)}
        truth.createIndex()
        judged = COCOeval(truth, truth.loadRes(found) if found else _nothing(truth.dataset), "segm")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    precision = judged.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, classes; all areas, most detections
    for place, category in enumerate(judged.params.catIds):
        values = precision[:, :, place]
        if (values > -1).any():
            per_class[category - 1] = values[values > -1].mean()
    scores = [float(value) if value > -1 else math.nan for value in judged.stats[: len(METRICS)]]
    return dict(zip(METRICS, scores, strict=True)), per_class


def _annotation(instance: Mapping[str, Any], image_id: int) -> dict[str, Any]:
    rest = {key: value for key, value in instance.items() if key != "label"}
    return {"image_id": image_id, "category_id": instance["label"] + 1, **rest}


def _numbered(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)]


def _nothing(dataset: Mapping[str, Any]) -> Any:
    """What ``loadRes`` would make of an empty list, at which it stumbles."""
    from pycocotools.coco import COCO

    found = COCO()
    found.dataset = {**dataset, "annotations": []}
    found.createIndex()
    return found
