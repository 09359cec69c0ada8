"""Choose the ensemble's weights and the thresholds on the photos held out from training: nothing here sees val2017.

    python tools/tiny/settings.py --shared ../shared --work build/tiny

Two threads: about 5 minutes. Reads the trained parts. Writes `results/embedded-model/settings.json`.
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from assemble import build, load_parts
from coco import HELD_OUT, Photo, splits

from maskadapter.evaluation.metrics.instance import TOP, ground_truth_instances, predicted_instances
from maskadapter.evaluation.metrics.panoptic import match_segments
from maskadapter.evaluation.metrics.semantic import confusion
from maskadapter.evaluation.scores import scores_of
from maskadapter.types import Target

RESULT = Path(__file__).parents[2] / "results/embedded-model/settings.json"
METRICS = ("semantic", "panoptic", "instance")
SHOWN = ("mIoU", "pixel accuracy", "PQ", "PQ things", "PQ stuff", "AP")
ALPHAS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)


def record(model, photo: Photo, encoded, vocabulary, number: int, **settings) -> dict:
    """The record of `scores_of` for one photo with some settings of `InferenceConfig` changed."""
    ids, labels = photo.masks()
    target = Target(np.array(labels), np.zeros(len(labels), bool), ids - 1)
    before, model.inference = model.inference, replace(model.inference, **settings)
    result = model.segment(encoded, vocabulary, background=None)
    model.inference = before
    things = result.vocabulary.is_thing
    return {
        "index": number,
        "size": ids.shape,
        "semantic": confusion(result.semantic(), target.labels(), len(result.vocabulary)).tolist(),
        "panoptic": match_segments(result.panoptic(), target),
        "instance": {
            "ground_truth": ground_truth_instances(target, things),
            "predicted": predicted_instances(result.instances(TOP)),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--work", type=Path, required=True, help="folder with the trained parts")
    parser.add_argument("--alphas", type=float, nargs="+", default=ALPHAS)
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    model = load_parts(build(), arguments.work).eval()
    vocabulary = model.encode_text("coco-panoptic")
    records: dict[str, list[dict]] = {f"alpha {alpha}": [] for alpha in arguments.alphas}
    for number, photo in enumerate(splits(arguments.shared / "data/coco")[1][:HELD_OUT]):
        encoded = model.encode_image(photo.image())
        for alpha in arguments.alphas:
            records[f"alpha {alpha}"].append(record(model, photo, encoded, vocabulary, number, alpha=alpha))
    found = {}
    for name, lines in records.items():
        scores = scores_of(partial(iter, lines), METRICS, vocabulary.vocabulary, "detectron2-main", None)
        found[name] = {metric: round(value, 2) for metric, value in scores.numbers.items()}
        kept = {metric: value for metric, value in found[name].items() if metric in SHOWN}
        print(name, kept, flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
