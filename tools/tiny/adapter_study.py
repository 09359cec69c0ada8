"""Does an adapter beat mask pooling? Accuracy of masks among COCO's 133 classes, with controls.

    python tools/tiny/adapter_study.py held-out --model aligned-image-0.safetensors --shared ../shared \\
        --adapter Mask-Adapter=runs/a/model.safetensors --adapter Mask-Adapter=runs/b/model.safetensors --out study.json

Trainings under one name are averaged. Masks: the ground truth's, and with `--proposals` the model's own that overlap a
segment with an IoU of at least 0.5. Errors: bootstrap over the photos, also of the difference from mask pooling. One
thread, two minutes and half a minute for each adapter. `val` is for the end: nothing is chosen on it.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from adapter_data import unseen
from coco import Photo, splits
from PIL import Image
from torch.nn import functional as F

import maskadapter as ma
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import area_weights
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.types import ClipFeatures
from maskadapter.vocabulary.vocabulary import Vocabulary

Adapters = dict[str, list[AdapterPooler]]

POOLING, THINGS, SAMPLES = "mask pooling", 80, 1000


def ground_truth_masks(
    photo: Photo, resized: tuple[int, int], padded: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ground-truth masks (N, H, W) bool at the network's input size, and their classes (N,)."""
    ids, labels = photo.masks()
    small = torch.from_numpy(np.array(Image.fromarray(ids).resize(resized[::-1], Image.NEAREST)))
    small = F.pad(small, (0, padded[1] - resized[1], 0, padded[0] - resized[0]))
    numbers = [i for i in range(1, len(labels) + 1) if (small == i).any()]
    return torch.stack([small == i for i in numbers]), torch.tensor([labels[i - 1] for i in numbers])


def matched(logits: torch.Tensor, masks: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Proposals, logits (N, h, w), with an IoU of at least 0.5 with a segment: which, and the class of that segment."""
    own = (F.interpolate(logits[None], masks.shape[-2:], mode="bilinear")[0] > 0).flatten(1).float()
    true = masks.flatten(1).float()
    both = own @ true.T
    best, segment = (both / (own.sum(1)[:, None] + true.sum(1) - both)).max(1)
    return best >= 0.5, classes[segment]


def moved(logits: torch.Tensor, size: tuple[int, int], grow: bool) -> torch.Tensor:
    """Masks (N, H, W) grown or shrunk by a cell of the feature map of that size; those that would vanish stay."""
    inside = (logits > 0).float()[:, None]
    by, sign = logits.shape[-1] // size[-1], 1 if grow else -1
    across = F.max_pool2d(sign * inside, (1, 2 * by + 1), 1, (0, by))
    result = sign * F.max_pool2d(across, (2 * by + 1, 1), 1, (by, 0))
    result = torch.where(result.flatten(1).any(1)[:, None, None, None], result, inside)
    return 20 * result[:, 0] - 10


class Scene:
    """One photo's features and masks, and everything that may classify them."""

    def __init__(self, model: OpenVocabularySegmenter, features: ClipFeatures, other: torch.Tensor, text: object):
        self.model, self.features, self.text = model, features, text
        self.inside: dict[str, list[torch.Tensor]] = {}  # share of an adapter's weights in the mask's locations, (N,)
        # Another photo's features, to make maps for the same masks from.
        self.other = F.interpolate(other, features.projected.shape[-2:], mode="bilinear")

    def classes(self, embeddings: torch.Tensor) -> torch.Tensor:
        logits = self.model.out_of_vocabulary_logits(self.features, embeddings[None], self.text)
        return logits[0, ..., :-1].argmax(-1)

    def pooled(self, weights: torch.Tensor) -> torch.Tensor:
        """Classes (N,) by weights (N, M, h, w), projected before the mean over M."""
        vectors = weights.flatten(-2) @ self.features.dense[0].flatten(1).T
        return self.classes(self.model.clip.project(vectors).mean(1))

    def everywhere(self) -> torch.Tensor:
        height, width = self.features.dense.shape[-2:]
        return torch.full((1, 1, height, width), 1 / (height * width))

    def rows(self, logits: torch.Tensor, adapters: Adapters) -> Iterator[tuple[str, torch.Tensor]]:
        """Name of a row and the classes (N,) that it finds; several trainings of one adapter have one name."""
        size = self.features.dense.shape[-2:]
        inside = area_weights(logits[None], size)[0][:, None]
        yield POOLING, self.pooled(inside)
        yield "whole image", self.pooled(self.everywhere().expand(len(logits), -1, -1, -1))
        grown, shrunk = (area_weights(moved(logits, size, grow)[None], size)[0][:, None] for grow in (True, False))
        yield "pooling, mask grown by a cell", self.pooled(grown)
        yield "pooling, mask shrunk by a cell", self.pooled(shrunk)
        for name, poolers in adapters.items():
            for pooler in poolers:
                weights = pooler.weights(self.features, logits[None])[0]
                self.inside.setdefault(name, []).append((weights * (inside > 0)).sum((2, 3)).mean(1))
                yield name, self.pooled(weights)
        for name, poolers in adapters.items():
            for pooler in poolers:
                foreign = replace(self.features, projected=self.other)
                yield f"{name}, maps of another photo", self.pooled(pooler.weights(foreign, logits[None])[0])

    def some_location(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Whether any single location of a mask has the right class by itself: a bound of selecting where, (N,)."""
        dense = self.features.dense[0].flatten(1).T
        found = self.classes(self.model.clip.project(dense))
        inside = area_weights(logits[None], self.features.dense.shape[-2:])[0].flatten(1) > 0
        return (inside & (found[None] == labels[:, None])).any(1)


@torch.inference_mode()
def measure(
    model: OpenVocabularySegmenter, photos: list[Photo], adapters: Adapters, proposals: bool
) -> dict[str, list]:
    """Per mask: photo, class, share of the image; and by row whether it is right, (trainings,) each."""
    text = model.text_classifier(model.encode_text(Vocabulary.builtin("coco-panoptic")))
    result: dict[str, list] = {"photo": [], "class": [], "area": [], "rows": {}, "inside": {}, "whole photos": []}
    features = [model.clip.encode_image(model.prepare(np.array(photo.image()))[0].pixels) for photo in photos]
    for number, photo in enumerate(photos):
        inputs, sizes = model.prepare(np.array(photo.image()))
        scene = Scene(model, features[number], features[number - 1].projected, text)
        masks, labels = ground_truth_masks(photo, sizes.resized, sizes.padded)
        result["whole photos"].append(bool(torch.isin(scene.pooled(scene.everywhere()), labels)[0]))
        logits = 20.0 * masks - 10
        if proposals:
            logits = model.generator(inputs, features[number]).mask_logits[0]
            fitting, labels = matched(logits, masks, labels)
            logits, labels = logits[fitting], labels[fitting]
        if not len(labels):
            continue
        result["photo"] += [number] * len(labels)
        result["class"] += labels.tolist()
        result["area"] += (logits > 0).float().mean((1, 2)).tolist()
        rows: dict[str, list[torch.Tensor]] = {}
        for name, found in scene.rows(logits, adapters):
            rows.setdefault(name, []).append(found == labels)
        for name, shares in scene.inside.items():
            result["inside"].setdefault(name, []).append(torch.stack(shares).mean(0))
        rows["some single location"] = [scene.some_location(logits, labels)]
        for name, right in rows.items():
            result["rows"].setdefault(name, []).append(torch.stack(right).float())
    result["rows"] = {name: torch.cat(parts, 1).numpy() for name, parts in result["rows"].items()}
    return result


def summary(result: dict[str, list], seed: int = 0) -> dict:
    """Percent right of each row, by kind of masks: value and error; difference from mask pooling and its error."""
    photo, label, area = (np.array(result[key]) for key in ("photo", "class", "area"))
    is_unseen, everything = np.array([unseen(c) for c in label]), np.ones(len(label), bool)
    kinds = {
        "all": everything,
        "above 1 %": area >= 0.01,
        "seen": ~is_unseen,
        "unseen": is_unseen,
        "things": label < THINGS,
        "stuff": label >= THINGS,
    }
    rng, count = np.random.default_rng(seed), max(photo) + 1
    draws = [np.bincount(rng.integers(0, count, count), minlength=count)[photo] for _ in range(SAMPLES)]
    table: dict = {"masks": {kind: int(chosen.sum()) for kind, chosen in kinds.items()}, "rows": {}}
    pooling = result["rows"][POOLING].mean(0)
    for name, every in result["rows"].items():
        right, cells = every.mean(0), {}
        for kind, chosen in kinds.items():
            samples = np.array([[(d * chosen * x).sum() / (d * chosen).sum() for x in (right, pooling)] for d in draws])
            numbers = {
                "accuracy": 100 * right[chosen].mean(),
                "error": 100 * samples[:, 0].std(),
                "difference": 100 * (right - pooling)[chosen].mean(),
                "error of difference": 100 * (samples[:, 0] - samples[:, 1]).std(),
            }
            cells[kind] = {key: round(float(number), 2) for key, number in numbers.items()}
            cells[kind]["trainings"] = [round(100 * float(x[chosen].mean()), 2) for x in every]
        table["rows"][name] = cells
    table["whole photos, class is in the photo"] = round(100 * float(np.mean(result["whole photos"])), 2)
    shares = {name: round(100 * float(torch.cat(parts).mean()), 1) for name, parts in result["inside"].items()}
    return {**table, "share of the weights inside the mask": shares}


def as_markdown(found: dict) -> str:
    """Two tables: accuracy, and the difference from mask pooling, each with its error."""
    kinds, rows = found["masks"], found["rows"]
    header = [f"{kind} ({count})" for kind, count in kinds.items()]

    def lines(first: str, cell: Callable[[dict], str], names: list[str]) -> list[str]:
        body = [[name, *(cell(rows[name][kind]) for kind in kinds)] for name in names]
        table = [[first, *header], ["---", *["---:"] * len(header)], *body]
        return [f"| {' | '.join(cells)} |" for cells in table]

    accuracy = lines("accuracy, %", lambda c: f"{c['accuracy']:.1f} ± {c['error']:.1f}", list(rows))
    others = [name for name in rows if name != POOLING]
    gain = lines("minus mask pooling", lambda c: f"{c['difference']:+.1f} ± {c['error of difference']:.1f}", others)
    whole = found["whole photos, class is in the photo"]
    facts = f"{found['model']}, {found['split']} photos, masks: {found['source of masks']}. Trainings of each adapter: "
    facts += ", ".join(f"{name} {len(cells['all']['trainings'])}" for name, cells in rows.items() if "Adapter" in name)
    facts += f". A whole photo's class is one of those in it: {whole} %."
    inside = found["share of the weights inside the mask"]
    facts += "".join(f" {share} % of the weights of {name} lie inside the mask." for name, share in inside.items())
    return "\n".join([facts, "", *accuracy, "", *gain, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("split", choices=["held-out", "val"])
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", action="append", default=[], help="NAME=FILE, trained on that model")
    parser.add_argument("--proposals", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = ma.load(str(arguments.model), pooler="pooling")
    adapters: Adapters = {}
    for given in arguments.adapter:
        name, _, path = given.partition("=")
        adapters.setdefault(name, []).append(ma.load(str(arguments.model), adapter=path).pooler)
    photos = splits(arguments.shared / "data/coco")[1 if arguments.split == "held-out" else 2]
    found = summary(measure(model, photos, adapters, arguments.proposals))
    source = "proposals" if arguments.proposals else "ground truth"
    found = {"model": arguments.model.stem, "split": arguments.split, "source of masks": source, **found}
    print(as_markdown(found))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
        arguments.out.with_suffix(".md").write_text(as_markdown(found))


if __name__ == "__main__":
    main()
