"""Compute the average precision of instances as COCO defines it, with pycocotools."""

import math
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from maskadapter.io import encode_mask
from maskadapter.results import Instances
from maskadapter.types import Target

TOP = 100
"""Instances of an image that count. Source: COCO's maxDets, and the official configurations' TEST.DETECTIONS."""

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""pycocotools' first six. Small, medium, large: the mask's area in pixels (in COCO's files that of the polygons, some
pixels off) is below 32 x 32, up to 96 x 96, above."""


def ground_truth_instances(target: Target, is_thing: Sequence[bool]) -> list[dict[str, Any]]:
    """The things in a ground truth, crowds included: ``label``, ``segmentation`` (RLE), ``area``, ``iscrowd``."""
    return [
        {"label": int(label), "segmentation": encode_mask(mask), "area": int(mask.sum()), "iscrowd": int(crowd)}
        for mask, label, crowd in zip(target.masks(), target.classes, target.is_crowd, strict=True)
        if is_thing[label] and mask.any()
    ]


def predicted_instances(instances: Instances) -> list[dict[str, Any]]:
    """The ``TOP`` predicted instances, best first: ``label``, ``segmentation``, ``score``."""
    return [
        {"label": int(label), "segmentation": encode_mask(mask), "score": float(score)}
        for mask, label, score in zip(instances.masks[:TOP], instances.labels, instances.scores, strict=False)
    ]


def average_precision(
    images: Iterable[tuple[int, Sequence[int], list[dict[str, Any]], list[dict[str, Any]]]], is_thing: Sequence[bool]
) -> tuple[dict[str, float], np.ndarray]:
    """Compute AP over the thing classes in the ground truth: each of ``METRICS``, and (K,) AP of every class.

    images: number, (height, width), ``ground_truth_instances`` and ``predicted_instances`` of each, in order of number.
    All are 0 to 1; NaN where the ground truth has no such instances.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    from pycocotools.mask import area

    categories = [{"id": label + 1, "name": str(label)} for label, thing in enumerate(is_thing) if thing]
    sizes: list[dict[str, int]] = []
    annotations: tuple[list[dict[str, Any]], ...] = [], []  # of the ground truth, of the predictions
    for number, (height, width), *both in images:
        sizes.append({"id": number, "height": height, "width": width})
        for rows, given in zip(annotations, both, strict=True):
            for one in given:
                # Numbers from 1: pycocotools takes a match with annotation 0 for none.
                ids = {"id": len(rows) + 1, "image_id": number, "category_id": one["label"] + 1}
                rows.append({**one, **ids, "area": int(area(one["segmentation"]))})
    per_class = np.full(len(is_thing), math.nan)
    if not annotations[0]:
        return dict.fromkeys(METRICS, math.nan), per_class
    with redirect_stdout(StringIO()):  # pycocotools prints every step
        sides = COCO(), COCO()
        for side, rows in zip(sides, annotations, strict=True):
            side.dataset = {"images": sizes, "categories": categories, "annotations": rows}
            side.createIndex()
        evaluator = COCOeval(*sides, "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, classes; all areas, most detections
    for place, category in enumerate(evaluator.params.catIds):
        values = precision[:, :, place]
        if (values > -1).any():
            per_class[category - 1] = values[values > -1].mean()
    scores = [float(value) if value > -1 else math.nan for value in evaluator.stats[: len(METRICS)]]
    return dict(zip(METRICS, scores, strict=True)), per_class
