"""Numbers of whole results on photos with panoptic labels, as `maskadapter evaluate` computes them, for many settings
at once: each photo is encoded once."""

from collections import defaultdict
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from coco import Photo
from labels import THINGS

from maskadapter.evaluation.metrics.instance import TOP, ground_truth_instances, predicted_instances
from maskadapter.evaluation.metrics.panoptic import match_segments
from maskadapter.evaluation.metrics.semantic import confusion, summed_confusion
from maskadapter.evaluation.scores import scores_of
from maskadapter.types import Target

METRICS = ("semantic", "panoptic", "instance")
SHOWN = ("mIoU", "pACC", "PQ", "PQ things", "PQ stuff", "AP")


def record(result, photo: Photo, number: int) -> dict:
    """A photo's result beside its ground truth, as `scores_of` reads it."""
    ids, labels = photo.masks()
    target = Target(np.array(labels), np.zeros(len(labels), bool), ids - 1)
    things = result.vocabulary.is_thing
    return {
        "index": number,
        "size": ids.shape,
        "semantic": confusion(result.semantic(), target.labels(), len(things)).tolist(),
        "panoptic": match_segments(result.panoptic(), target),
        "instance": {
            "ground_truth": ground_truth_instances(target, things),
            "predicted": predicted_instances(result.instances(TOP)),
        },
    }


class Table:
    """Records by setting, and their numbers in percent."""

    def __init__(self, model):
        self.model, self.vocabulary = model, model.encode_text("coco-panoptic")
        self.records: dict[str, list[dict]] = defaultdict(list)

    def add(self, name: str, encoded, photo: Photo, number: int, **settings) -> None:
        """Segment an encoded photo with some settings of `InferenceConfig` changed."""
        before, self.model.inference = self.model.inference, replace(self.model.inference, **settings)
        result = self.model.segment(encoded, self.vocabulary, background=None)
        self.model.inference = before
        self.records[name].append(record(result, photo, number))

    def numbers(self) -> dict[str, dict[str, float]]:
        return {name: self._numbers(lines) for name, lines in self.records.items()}

    def _numbers(self, lines: list[dict]) -> dict[str, float]:
        scores = scores_of(partial(iter, lines), METRICS, self.vocabulary.vocabulary, "detectron2-main", None)
        true, found, pixels = summed_confusion(line["semantic"] for line in lines).T
        parts = {"things": true < THINGS, "stuff": true >= THINGS}
        right = {
            f"pACC {name}": 100 * pixels[of & (true == found)].sum() / pixels[of].sum() for name, of in parts.items()
        }
        chosen = {name: scores.numbers[name] for name in SHOWN} | right
        return {name: round(float(value), 2) for name, value in chosen.items()}


def best_ious(masks: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best IoU of each labeled segment with masks (N, h, w) bool, and its share of the image. ids: (H, W), 0 for none,
    covered by the masks from its first pixel on."""
    rows, columns = (np.arange(n) * side // n for n, side in zip(masks.shape[1:], ids.shape, strict=True))
    small = torch.from_numpy(ids[rows[:, None], columns])
    numbers = torch.unique(small)[1:] if (small == 0).any() else torch.unique(small)
    segments = (small.flatten()[None] == numbers[:, None]).float()
    flat = torch.from_numpy(masks).flatten(1).float()
    shared = segments @ flat.T
    iou = shared / (segments.sum(1)[:, None] + flat.sum(1) - shared).clamp_min(1)
    return iou.amax(1).numpy(), segments.mean(1).numpy()
