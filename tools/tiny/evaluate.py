"""Evaluate the shipped embedded model on 50 photos of COCO val2017, on which nothing was trained or chosen.

    python tools/tiny/evaluate.py --shared ../shared

Two threads, about 5 minutes. Writes `results/embedded-model/val2017.json`: percent, but for counts and seconds.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from assemble import PACKED, load_packed
from coco import Photo, splits
from end_to_end import Table, best_ious
from ground_truth_masks import ground_truth_masks
from image_losses import by_kind

from maskadapter.vocabulary import Vocabulary

RESULT = Path(__file__).parents[2] / "results/embedded-model/val2017.json"


@torch.inference_mode()
def evaluate(model, photos: list[Photo]) -> dict:
    table, own = Table(model), f"ensemble, alpha {model.inference.alpha}"
    branches = {own: model.inference.alpha, "in-vocabulary alone": 0.0, "out-of-vocabulary alone": 1.0}
    ious, areas, right, total, words, seconds = [], [], 0, 0, [], []
    names = Vocabulary.of("coco-panoptic")
    for number, photo in enumerate(photos):
        image, (ids, labels) = photo.image(), photo.masks()
        start = time.perf_counter()
        encoded = model.encode_image(image)
        model.segment(encoded, table.vocabulary, background=None).semantic()
        seconds.append(time.perf_counter() - start)
        for name, alpha in branches.items():
            table.add(name, encoded, photo, number, alpha=alpha)
        height, width = encoded.sizes.resized
        best, area = best_ious(encoded.proposals.mask_logits[0, :, :height, :width].numpy() > 0, ids)
        ious.append(best)
        areas.append(area)
        present = sorted(set(labels))
        few = Vocabulary(tuple(names.classes[i] for i in present), tuple(names.is_thing[i] for i in present))
        semantic = model.segment(encoded, few, background=None).semantic()
        known, words = ids > 0, [*words, len(present)]
        right += int((np.array([*present, -1])[semantic] == np.array([-1, *labels])[ids])[known].sum())
        total += int(known.sum())
    iou, area = np.concatenate(ious), np.concatenate(areas)
    masks = ground_truth_masks(model, photos)
    return {
        "photos": len(photos),
        "segments": len(iou),
        "segments above 1 %": int((area >= 0.01).sum()),
        "ground-truth masks, mask pooling": {name: round(100 * value, 1) for name, value in by_kind(*masks).items()},
        "proposals: mean best IoU": round(100 * float(iou.mean()), 1),
        "proposals: mean best IoU above 1 %": round(100 * float(iou[area >= 0.01].mean()), 1),
        "proposals: recall at 0.5 above 1 %": round(100 * float((iou[area >= 0.01] >= 0.5).mean()), 1),
        "133 classes": table.numbers(),
        "words that fit, on average": round(float(np.mean(words)), 1),
        "pixel accuracy with the words that fit": round(100 * right / total, 2),
        "median seconds a photo": round(float(np.median(seconds)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/coco/")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    result = evaluate(load_packed(PACKED), splits(arguments.shared / "data/coco")[2])
    print(json.dumps(result, indent=1))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
