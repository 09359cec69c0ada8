"""How well ``classify`` names masks that are right: COCO's own, among all 133 names of COCO panoptic.

    python tools/ground_truth_masks.py --coco ../shared/data/coco [--model fcclip-large.pth]

Prints a Markdown table; half a minute for the embedded model.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tiny.coco import is_thing, panoptic_photos

import maskadapter
from maskadapter.system.progress import bar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--model", help="a name or a file; without it the embedded model")
    arguments = parser.parse_args()

    model = maskadapter.load(arguments.model)
    words = model.encode_text("coco-panoptic")
    thing = is_thing(arguments.coco)
    rows: list[tuple[bool, float, bool, bool]] = []  # thing, share of the image, best word right, among the best five
    photos = panoptic_photos(arguments.coco, arguments.split)
    with bar("images", len(photos)) as advance:
        for photo in photos:
            ids, classes = photo.masks()
            masks = ids[None] == np.arange(1, len(classes) + 1)[:, None, None]
            named = model.classify(np.array(photo.image()), masks, words)
            for mask, truth, best in zip(masks, classes, (-named.probs).argsort(axis=1)[:, :5], strict=True):
                rows.append((thing[truth], float(mask.mean()), best[0] == truth, truth in best))
            advance(1)
    things, shares, right, among = (np.array(column) for column in zip(*rows, strict=True))
    print("| masks | number | best word right | right word among five |")
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
