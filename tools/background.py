"""Choose how similar a background class may be to the user's classes, and measure the gain of a background.

    python tools/background.py --coco ../shared/data/coco --split train2017    # choose: all limits
    python tools/background.py --coco ../shared/data/coco --split val2017      # measure: none, the chosen one, all

A sample simulates a user: one to four of the classes in an image are asked for, each by one of its synonyms, and in
three samples of ten a class that is not in the image. The ground truth of all other pixels is "none".
About 15 minutes on two cores for 50 images. Prints a Markdown table.
"""

import argparse
import random
import sys
from pathlib import Path

import numpy as np
import torch

import maskadapter
from maskadapter.models.segmenter import CONFUSABLE
from maskadapter.system.progress import bar
from maskadapter.vocabulary import COMPETING, Vocabulary

sys.path.insert(0, str(Path(__file__).parent / "tiny"))
from coco import panoptic_photos

ALL_LIMITS = (None, 0.0, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 2.0)
NONE = -1


def sample_classes(labels: np.ndarray, vocabulary: Vocabulary, rng: random.Random) -> tuple[list[str], np.ndarray]:
    """Class names, and the ground truth (H, W): index of each pixel's name, -1 none of them, -2 unlabeled.

    labels: (H, W), class of every pixel, -2 unlabeled.
    """
    present = [c for c in np.unique(labels).tolist() if c >= 0 and (labels == c).mean() > 0.005]
    chosen = rng.sample(present, rng.randint(1, min(4, len(present))))
    if rng.random() < 0.3:
        chosen.append(rng.choice([c for c in range(len(vocabulary)) if c not in present]))
    names: list[str] = []
    ground_truth = np.where(labels < 0, labels, NONE)
    for c in chosen:
        name = rng.choice(vocabulary.classes[c])
        if name not in names:
            ground_truth[labels == c] = len(names)
            names.append(name)
    return names, ground_truth


def scores(labels: np.ndarray, ground_truth: np.ndarray, count: int) -> tuple[float, float, float, float]:
    """Of one sample: pixel accuracy, mean IoU with "none" as a class, and the pixel accuracy of pixels with a class and
    of those without."""
    labels, ground_truth = labels[ground_truth > -2], ground_truth[ground_truth > -2]
    ious = []
    for c in range(NONE, count):
        union = ((labels == c) | (ground_truth == c)).sum()
        if union:
            ious.append(((labels == c) & (ground_truth == c)).sum() / union)
    right = labels == ground_truth
    inside, outside = right[ground_truth >= 0], right[ground_truth == NONE]
    return right.mean(), np.mean(ious), *(part.mean() if part.size else np.nan for part in (inside, outside))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--split", choices=["train2017", "val2017"], required=True)
    parser.add_argument("--samples", type=int, default=2, help="of every image")
    parser.add_argument("--images", type=int, default=50)
    arguments = parser.parse_args()
    limits = ALL_LIMITS if arguments.split == "train2017" else (None, CONFUSABLE, 2.0)

    model, vocabulary, rng = maskadapter.load(), Vocabulary.builtin("coco-panoptic"), random.Random(0)
    background = model.encode_text(COMPETING)
    measured: dict[float | None, list] = {limit: [] for limit in limits}
    photos = panoptic_photos(arguments.coco, arguments.split)[: arguments.images]
    with bar("images", len(photos)) as advance:
        for photo in photos:
            ids, segment_classes = photo.masks()
            labels = np.array([-2, *segment_classes])[ids]
            for _ in range(arguments.samples):
                names, ground_truth = sample_classes(labels, vocabulary, rng)
                encoded = model.encode_text(names)
                for limit in limits:
                    competing = encoded
                    if limit is not None:
                        cosine = background.confusable_similarity(limit) if limit <= 1 else limit
                        competing = encoded.with_background(background, cosine)
                    found = model.segment(np.array(photo.image()), competing, background=None).semantic()
                    found = np.where(found >= len(names), NONE, found)
                    measured[limit].append(scores(found, ground_truth, len(names)))
            advance(1)
    print("| background | pixel accuracy | mIoU with none | of pixels with a class | of the others |")
    print("|---|---|---|---|---|")
    for limit, rows in measured.items():
        name = "none" if limit is None else "all classes" if limit > 1 else f"below {limit:.2f}"
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in np.nanmean(rows, axis=0)) + " |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
