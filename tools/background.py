"""Choose how close in meaning a background word may be to the user's words, and measure what a background gains.

    python tools/background.py --coco ../shared/data/coco --split train2017    # choose: all limits
    python tools/background.py --coco ../shared/data/coco --split val2017      # measure: none, the chosen one, all

A draw plays a user: of one image, one to four of the things and stuff in it are asked for, each by one of its
synonyms, and in three draws of ten something that is not there. What was not asked for is none of them.
About 15 minutes on two cores for 50 images. Prints a Markdown table.
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from tiny.coco import panoptic_photos

import maskadapter
from maskadapter.models.segmenter import CONFUSABLE
from maskadapter.system.progress import bar
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary

ALL_LIMITS = (None, 0.0, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 2.0)
NONE = -1


def draw(labels: np.ndarray, vocabulary: Vocabulary, chance: random.Random) -> tuple[list[str], np.ndarray]:
    """labels: (H, W), class of every pixel, -2 unlabeled -> words, and the index of every pixel's word: -1 none of
    them, -2 unlabeled."""
    present = [c for c in np.unique(labels).tolist() if c >= 0 and (labels == c).mean() > 0.005]
    chosen = chance.sample(present, chance.randint(1, min(4, len(present))))
    if chance.random() < 0.3:
        chosen.append(chance.choice([c for c in range(len(vocabulary)) if c not in present]))
    words: list[str] = []
    truth = np.where(labels < 0, labels, NONE)
    for c in chosen:
        word = chance.choice(vocabulary.classes[c])
        if word not in words:
            truth[labels == c] = len(words)
            words.append(word)
    return words, truth


def scores(labels: np.ndarray, truth: np.ndarray, count: int) -> tuple[float, float, float, float]:
    """Of one draw: share of pixels that are right, mean IoU with "none" as a class, share right among the pixels that
    are one of the words, and among those that are none."""
    labels, truth = labels[truth > -2], truth[truth > -2]
    ious = []
    for c in range(NONE, count):
        union = ((labels == c) | (truth == c)).sum()
        if union:
            ious.append(((labels == c) & (truth == c)).sum() / union)
    right = labels == truth
    inside, outside = right[truth >= 0], right[truth == NONE]
    return right.mean(), np.mean(ious), *(part.mean() if part.size else np.nan for part in (inside, outside))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--split", choices=["train2017", "val2017"], required=True)
    parser.add_argument("--draws", type=int, default=2, help="of every image")
    parser.add_argument("--images", type=int, default=50)
    arguments = parser.parse_args()
    limits = ALL_LIMITS if arguments.split == "train2017" else (None, CONFUSABLE, 2.0)

    model, vocabulary, chance = maskadapter.load(), Vocabulary.builtin("coco-panoptic"), random.Random(0)
    background = model.encode_text(BACKGROUND)
    measured: dict[float | None, list] = {limit: [] for limit in limits}
    photos = panoptic_photos(arguments.coco, arguments.split)[: arguments.images]
    with bar("images", len(photos)) as advance:
        for photo in photos:
            ids, segment_classes = photo.masks()
            labels = np.array([-2, *segment_classes])[ids]
            for _ in range(arguments.draws):
                words, truth = draw(labels, vocabulary, chance)
                encoded = model.encode_text(words)
                for limit in limits:
                    competing = encoded
                    if limit is not None:
                        cosine = background.confusable_similarity(limit) if limit <= 1 else limit
                        competing = encoded.with_background(background, cosine)
                    found = model.segment(np.array(photo.image()), competing, background=None).semantic()
                    found = np.where(found >= len(words), NONE, found)
                    measured[limit].append(scores(found, truth, len(words)))
            advance(1)
    print("| background | pixels right | mIoU with none | of the words' pixels | of the other pixels |")
    print("|---|---|---|---|---|")
    for limit, rows in measured.items():
        name = "none" if limit is None else "all words" if limit > 1 else f"below {limit:.2f}"
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in np.nanmean(rows, axis=0)) + " |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
