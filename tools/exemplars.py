"""Measure classes that are given by examples, beside the same classes by their names, on COCO photos.

    python tools/exemplars.py --coco ../shared/data/coco --output results/exemplars

Examples are masks of training photos, at most one of a class in a photo, drawn at random five times. The weights of
examples are compared on the training photos that were held out; everything else is measured on the 50 of val2017.
Writes ``coco.json`` and prints Markdown tables. About ten minutes on one core.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

import maskadapter
from maskadapter.models import TextClassifier
from maskadapter.models import examples as shown
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.progress import bar
from maskadapter.vocabulary import COMPETING, Example, Vocabulary

sys.path.insert(0, str(Path(__file__).parent / "tiny"))
from coco import Photo, splits

COUNTS = (1, 3, 10)
DRAWS = 5
SMALLEST = 0.005  # share of the photo that an example covers at least
TRAINING = 322  # photos: those with panoptic labels, and the first of those with instances
SEGMENTED = 12  # classes, the most frequent ones


class Masks(NamedTuple):
    """N ground-truth masks: unit mask embeddings and vectors of examples (N, D), class and photo (N,)."""

    embeddings: torch.Tensor
    vectors: torch.Tensor
    classes: np.ndarray
    photos: np.ndarray


class Study:
    """The classes of COCO panoptic that enough training photos show, their names, and examples of them."""

    def __init__(self, model: maskadapter.OpenVocabularySegmenter, train: Masks) -> None:
        self.train, encoded = train, model.encode_text("coco-panoptic")
        self.names = encoded.text_embeddings.split(encoded.vocabulary.group_sizes)
        self.nothing = model.encode_text(COMPETING).text_embeddings.mean(dim=0, keepdim=True)
        self.classes = [c for c in range(len(self.names)) if len(self._photos(c)) >= max(COUNTS)]

    def _photos(self, one: int) -> np.ndarray:
        return np.unique(self.train.photos[self.train.classes == one])

    def draw(self, seed: int) -> dict[int, list[int]]:
        """Ten examples of each class, by their numbers among the training masks."""
        rng, drawn = np.random.default_rng(seed), {}
        for one in self.classes:
            photos = rng.permutation(self._photos(one))[: max(COUNTS)]
            here = self.train.classes == one
            drawn[one] = [int(rng.choice(np.flatnonzero(here & (self.train.photos == photo)))) for photo in photos]
        return drawn

    def weights(self, one: int, chosen: list[int], text: bool) -> torch.Tensor:
        """Classifier weights of a class by its names, some examples, or both."""
        names = self.names[one] if text else self.nothing
        return shown.moved(names, self.train.vectors[chosen], text) if chosen else names

    def accuracies(self, test: Masks) -> dict[str, dict[str, float]]:
        """In percent: all classes in the same way; and the F1 of one by examples, the 132 others by their names."""
        similar = torch.stack([(test.embeddings @ names.T).amax(dim=1) for names in self.names], dim=1)
        known = np.isin(test.classes, self.classes)
        truth = np.searchsorted(self.classes, test.classes[known])
        found = dict[str, dict[str, float]]()
        for count in (0, *COUNTS):
            for text in (True, False) if count else (True,):
                right, f1 = [], []
                for seed in range(DRAWS if count else 1):
                    drawn, columns = self.draw(seed), []
                    for one in self.classes:
                        weights = self.weights(one, drawn[one][:count], text)
                        column = (test.embeddings @ weights.T).amax(dim=1)
                        columns.append(column[known])
                        if (test.classes == one).sum() < 3:
                            continue
                        mixed = similar.clone()
                        mixed[:, one] = column
                        predicted = mixed.argmax(dim=1).numpy() == one
                        both = (predicted & (test.classes == one)).sum()
                        f1.append(2 * both / (predicted.sum() + (test.classes == one).sum()))
                    right.append((torch.stack(columns, dim=1).argmax(dim=1).numpy() == truth).mean())
                key = f"{count} examples{' and name' if text else ''}" if count else "name"
                found[key] = {"accuracy": 100 * float(np.mean(right)), "F1": 100 * float(np.mean(f1))}
        return found


def masks_of(
    model: maskadapter.OpenVocabularySegmenter, photos: list[Photo], what: str, smallest: float = 0.0
) -> Masks:
    """Encode the ground-truth masks of photos. smallest: share of the photo that a mask covers at least."""
    rows: list[tuple[torch.Tensor, torch.Tensor, int, int]] = []
    with bar(what, len(photos)) as advance:
        for number, photo in enumerate(photos):
            ids, labels = photo.masks()
            masks = ids[None] == np.arange(1, len(labels) + 1)[:, None, None]
            shares = masks.mean(axis=(1, 2))
            kept = (shares > 0) & (shares >= smallest) & (shares < 1)
            if kept.any():
                encoded = model.encode_image(photo.image(), masks[kept])
                vectors = shown.example_vectors(Example("class", [(encoded, masks[kept])]), model)
                embeddings = F.normalize(model.given_embeddings(encoded)[0], dim=-1)
                classes = np.array(labels)[kept].tolist()
                rows += zip(embeddings, vectors, classes, [number] * len(classes), strict=True)
            advance(1)
    embeddings, vectors, *others = zip(*rows, strict=True)
    return Masks(torch.stack(embeddings), torch.stack(vectors), *map(np.array, others))


def segmentation(
    model: maskadapter.OpenVocabularySegmenter, study: Study, photos: list[Photo], classes: list[int], both: bool = True
) -> dict[str, float]:
    """mIoU in percent over ``classes``, which compete with one another and with the usual background. both: whether the
    examples move the weights of the in-vocabulary classifier too, or leave it the names."""
    full, drawn = Vocabulary.builtin("coco-panoptic"), study.draw(0)
    plain = model.encode_text(
        Vocabulary(tuple(full.classes[c] for c in classes), tuple(full.is_thing[c] for c in classes))
    )
    lists = {"name": plain}
    for count in COUNTS:
        for text in (True, False):
            rows = [study.weights(c, drawn[c][:count], text).expand(len(full.classes[c]), -1) for c in classes]
            key, weights = f"{count} examples{' and name' if text else ''}", torch.cat(rows)
            nameless = () if text else tuple(range(len(weights)))
            lists[key] = replace(plain, text_embeddings=weights, shown=nameless)
    original, names = model.class_logits, plain.text_embeddings

    def by_name(proposals: maskadapter.Proposals, text: TextClassifier) -> torch.Tensor | None:
        return original(proposals, replace(text, weights=torch.cat([names, text.weights[len(names) :]])))

    model.class_logits = original if both else by_name
    overlaps = {key: np.zeros((2, len(classes))) for key in lists}
    with bar("segmenting", len(photos)) as advance:
        for photo in photos:
            ids, labels = photo.masks()
            truth = np.array([-1, *(classes.index(c) if c in classes else -2 for c in labels)])[ids]
            encoded = model.encode_image(photo.image())
            for key, vocabulary in lists.items():
                found = np.where(truth == -1, -1, model.segment(encoded, vocabulary).semantic())
                for place in range(len(classes)):
                    inside, predicted = truth == place, found == place
                    overlaps[key][:, place] += (inside & predicted).sum(), (inside | predicted).sum()
            advance(1)
    model.class_logits = original
    return {key: 100 * float(np.nanmean(inside / union)) for key, (inside, union) in overlaps.items()}


def choose(study: Study, test: Masks) -> list[dict[str, float]]:
    """Compare weights, take those with the best mean F1 over all numbers of examples, and return all."""
    found = []
    for shown.WITH_NAME in (0.125, 0.25, 0.5, 1.0):
        for shown.HALF in (0.0, 1.0, 3.0, 10.0):
            f1 = [value["F1"] for key, value in study.accuracies(test).items() if "and" in key]
            found.append({"with name": shown.WITH_NAME, "half": shown.HALF, "F1": float(np.mean(f1))})
    best = max(found, key=lambda one: one["F1"])
    shown.WITH_NAME, shown.HALF = best["with name"], best["half"]
    for shown.ALONE in (0.5, 1.0, 1.5, 2.0, 3.0):
        f1 = [value["F1"] for key, value in study.accuracies(test).items() if key.endswith("examples")]
        found.append({"alone": shown.ALONE, "F1": float(np.mean(f1))})
    shown.ALONE = max(found[-5:], key=lambda one: one["F1"])["alone"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    model = maskadapter.load()
    train, held_out, val = splits(arguments.coco)
    study = Study(model, masks_of(model, train[:TRAINING], "training photos", SMALLEST))
    chosen = choose(study, masks_of(model, held_out, "photos held out"))
    names, count = Vocabulary.builtin("coco-panoptic").names, np.bincount(study.train.classes, minlength=133)
    frequent = sorted(study.classes, key=lambda c: -count[c])[:SEGMENTED]
    branches = {
        branch: segmentation(model, study, held_out, frequent, both)
        for branch, both in (("both branches", True), ("out-of-vocabulary branch alone", False))
    }
    test = masks_of(model, val, "val2017")
    numbers, miou = study.accuracies(test), segmentation(model, study, val, frequent)
    result = {
        "model": "tiny",
        "with name": shown.WITH_NAME,
        "half": shown.HALF,
        "alone": shown.ALONE,
        "classes": [names[c] for c in study.classes],
        "masks": len(test.classes),
        "val2017": {key: {**value, "mIoU": miou[key]} for key, value in numbers.items()},
        "segmented classes": [names[c] for c in frequent],
        "held out: weights": chosen,
        "held out: mIoU where the examples move the weights of": branches,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    with write_atomically(arguments.output / "coco.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("| class given by | accuracy | F1 | mIoU |\n|---|---:|---:|---:|")
    for key, value in numbers.items():
        print(f"| {key} | {value['accuracy']:.1f} | {value['F1']:.1f} | {miou[key]:.1f} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
