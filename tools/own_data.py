"""Measure what the recipe for one's own data learns from an extract of COCO, and write ``results/own-data.md``.

    python tools/own_data.py --root <folder of coco> --output <folder of the runs>

The sets imitate a data set of one's own: 58 classes with names of clothes, which say nothing about the photos, and
everything else "background"; and COCO's own classes, which the embedded model knows.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import maskadapter as ma
from maskadapter.system.markdown_table import markdown_table
from maskadapter.training.classifier.held_out import Part

CLOTHES = (
    "accessories, bag, belt, blazer, blouse, bodysuit, boots, bra, bracelet, cape, cardigan, clogs, coat, dress, "
    "earrings, flats, glasses, gloves, hair, hat, heels, hoodie, intimate, jacket, jeans, jumper, leggings, "
    "loafers, necklace, panties, pants, pumps, purse, ring, romper, sandals, scarf, shirt, shoes, shorts, skin, "
    "skirt, sneakers, socks, stockings, suit, sunglasses, sweater, sweatshirt, swimwear, t-shirt, tie, tights, "
    "top, vest, wallet, watch, wedges"
)
ROOT = Path(__file__).parents[1]


class Renamed:
    """A data set with label maps of other classes: 58 of its own by other names, and background.

    chosen: 58 indices of classes."""

    task = "semantic"

    def __init__(self, dataset, chosen: np.ndarray) -> None:
        self.name, self.dataset = "renamed", dataset
        self.vocabulary = ma.Vocabulary.of(f"background, {CLOTHES}")
        self._class_of = np.zeros(len(dataset.vocabulary) + 1, int)  # the last is that of unlabeled pixels
        self._class_of[chosen] = np.arange(1, len(chosen) + 1)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> ma.Sample:
        sample = self.dataset[index]
        return ma.Sample(sample.image, ma.Target.of_labels(self._class_of[sample.target.labels()]), sample.name)


def measure(title: str, train, held_out, output: Path) -> list[str]:
    """Train and return a row: numbers before and after."""
    began = time.perf_counter()
    recipe = ma.read_recipe(ROOT / "recipes" / "own" / "own-data.yaml")
    ma.train(recipe, [train, held_out], output, device="cpu")
    minutes = (time.perf_counter() - began) / 60
    line = (output / "summary.txt").read_text().split(" % on ")[0]
    pairs = [part.rsplit(" ", 3)[1:] for part in line.split(", ")]
    numbers = [f"{before} -> {after}" for before, _, after in pairs]
    return [title, str(len(train)), str(len(held_out)), *numbers, f"{minutes:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/own-data"))
    options = parser.parse_args()
    coco = {split: ma.open_dataset("coco-panoptic", options.root, split) for split in ("train", "val")}
    known, unknown = coco["train"], coco["val"]  # the embedded model was trained on most of "train"
    images = [dataset[index].target.classes for dataset in (known, unknown) for index in range(len(dataset))]
    frequent = np.bincount(np.concatenate([np.unique(one) for one in images]), minlength=len(known.vocabulary))
    things = np.argsort(-frequent * np.array(known.vocabulary.is_thing), kind="stable")[:58]
    any_kind = np.argsort(-frequent, kind="stable")[:58]
    rng = np.random.default_rng(0)
    a, b = rng.permutation(len(known)).tolist(), rng.permutation(len(unknown)).tolist()
    sets = {
        "58 renamed things, the rest background": [
            Renamed(Part(known, a[:60]), things),
            Renamed(Part(unknown, b[:40]), things),
        ],
        "58 renamed classes, the rest background": [
            Renamed(Part(known, a[:60]), any_kind),
            Renamed(Part(unknown, b[:40]), any_kind),
        ],
        "COCO's 133 classes": [Part(known, a[:40]), Part(unknown, b[:20])],
        "the same, photos that `tiny` was not trained on": [Part(unknown, b[:33]), Part(unknown, b[33:])],
        "the same, photos that `tiny` was trained on": [Part(known, a[:40]), Part(known, a[40:60])],
    }
    rows = [measure(title, *parts, options.output / str(number)) for number, (title, parts) in enumerate(sets.items())]
    header = ["classes", "learned from", "held out", "pixel accuracy", "mIoU", "ground-truth masks", "minutes"]
    text = f"""# Classes of one's own, learned from few photos

`python tools/own_data.py --root <coco>`: the recipe `own-data` with the embedded model and its default settings, on an
extract of COCO, one split each. Percent on the held-out photos, before -> after; the penalty is chosen on them too, so
that the numbers after are a little too good. Minutes on two cores, evaluations included.

{chr(10).join(markdown_table(header, rows))}
"""
    (ROOT / "results" / "own-data.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
