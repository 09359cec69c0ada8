"""Measure how well ``classify`` classifies COCO's ground-truth masks among the 133 classes of COCO panoptic.

    python tools/ground_truth_masks.py --coco ../shared/data/coco [--model fcclip-large.pth]

Prints a Markdown table; half a minute for the embedded model.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

import maskadapter
from maskadapter.system.progress import bar

sys.path.insert(0, str(Path(__file__).parent / "tiny"))
from coco import is_thing, panoptic_photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--model", help="a name or a file; without it the embedded model")
    arguments = parser.parse_args()

    model = maskadapter.load(arguments.model)
    classes = model.encode_text("coco-panoptic")
    thing = is_thing(arguments.coco)
    rows: list[tuple[bool, float, bool, bool]] = []  # thing, share of the image, top 1 right, in top 5
    photos = panoptic_photos(arguments.coco, arguments.split)
    with bar("images", len(photos)) as advance:
        for photo in photos:
            ids, labels = photo.masks()
            masks = ids[None] == np.arange(1, len(labels) + 1)[:, None, None]
            predicted = model.classify(np.array(photo.image()), masks, classes)
            for mask, label, best in zip(masks, labels, (-predicted.probs).argsort(axis=1)[:, :5], strict=True):
                rows.append((thing[label], float(mask.mean()), best[0] == label, label in best))
            advance(1)
    things, shares, right, among = (np.array(column) for column in zip(*rows, strict=True))
    print("| masks | number | top-1 accuracy | top-5 accuracy |")
    print("|---|---|---|---|")
    for name, chosen in (
        ("all", np.ones(len(things), bool)),
        ("things", things),
        ("stuff", ~things),
        ("below 1 % of the image", shares < 0.01),
        ("1 to 10 %", (shares >= 0.01) & (shares < 0.1)),
        ("above 10 %", shares >= 0.1),
    ):
        print(f"| {name} | {chosen.sum()} | {right[chosen].mean():.3f} | {among[chosen].mean():.3f} |")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
