"""Read the COCO photographs and their labeled masks. A class id is the rank of COCO panoptic's 133 category ids."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from nouns import read_vocabulary
from PIL import Image
from pycocotools import mask as coco_mask

# Training photographs kept for choosing settings, not trained on, not reported: with panoptic, with instance labels.
HELD_OUT, HELD_OUT_INSTANCES = 30, 10


class Photo(NamedTuple):
    path: Path
    segments: dict  # either {"png": path, "labels": {id: class}} or {"annotations": [...], "categories": {...}}

    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return np.asarray(Image.open(self.path).convert("RGB"))

    def masks(self) -> tuple[np.ndarray, list[int]]:
        """Label map (H, W) int32, 0 = unlabeled, i + 1 = segment i, and each segment's class. Crowds are unlabeled."""
        if "png" in self.segments:
            rgb = np.asarray(Image.open(self.segments["png"]).convert("RGB")).astype(np.int32)
            ids = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
            result = np.zeros(ids.shape, np.int32)
            labels = []
            for identity, label in self.segments["labels"].items():
                labels.append(label)
                result[ids == identity] = len(labels)
            return result, labels
        width, height = Image.open(self.path).size
        result, labels = np.zeros((height, width), np.int32), []
        # Large ones first: what lies on a couch is in front of it.
        for annotation in sorted(self.segments["annotations"], key=lambda a: -a["area"]):
            if annotation["iscrowd"]:
                continue
            rle = coco_mask.merge(coco_mask.frPyObjects(annotation["segmentation"], height, width))
            labels.append(self.segments["categories"][annotation["category_id"]])
            result[coco_mask.decode(rle) > 0] = len(labels)
        return result, labels


def panoptic_photos(root: Path, split: str) -> list[Photo]:
    data = json.loads((root / f"annotations/panoptic_{split}.json").read_text())
    rank = {category["id"]: i for i, category in enumerate(sorted(data["categories"], key=lambda c: c["id"]))}
    names = {image["id"]: image["file_name"] for image in data["images"]}
    photos = []
    for annotation in sorted(data["annotations"], key=lambda a: a["image_id"]):
        labels = {s["id"]: rank[s["category_id"]] for s in annotation["segments_info"] if not s["iscrowd"]}
        photos.append(
            Photo(
                root / split / names[annotation["image_id"]],
                {"png": root / f"panoptic_{split}" / annotation["file_name"], "labels": labels},
            )
        )
    return photos


def thing_ranks(root: Path) -> dict[int, int]:
    """COCO's category ids of the 80 things -> class; things come first in panoptic."""
    data = json.loads((root / "annotations/instances_train2017.json").read_text())
    return {identity: i for i, identity in enumerate(sorted(category["id"] for category in data["categories"]))}


def instance_photos(images: Path, annotations: Path, ranks: dict[int, int]) -> list[Photo]:
    data = json.loads(annotations.read_text())
    by_image: dict[int, list] = {image["id"]: [] for image in data["images"]}
    for annotation in data["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    return [
        Photo(images / image["file_name"], {"annotations": by_image[image["id"]], "categories": ranks})
        for image in sorted(data["images"], key=lambda i: i["id"])
    ]


def unlabelled_photos(root: Path) -> list[Photo]:
    """Photos without labels, except one person in some."""
    folder = root.parent / "extra/coco_photos"
    return instance_photos(folder, folder / "photos.json", thing_ranks(root))


def panoptic_names(shared: Path) -> list[str]:
    """First name of each of the 133 classes."""
    return [names[0] for names in read_vocabulary(shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")]


def is_thing(root: Path) -> list[bool]:
    data = json.loads((root / "annotations/panoptic_val2017.json").read_text())
    return [bool(category["isthing"]) for category in sorted(data["categories"], key=lambda c: c["id"])]


def splits(root: Path) -> tuple[list[Photo], list[Photo], list[Photo]]:
    """-> (training, held out from training for choosing settings, the 50 of val2017 for measuring only)."""
    panoptic, ranks, extra = panoptic_photos(root, "train2017"), thing_ranks(root), root.parent / "extra/coco_instances"
    instances = instance_photos(root / "train2017", root / "annotations/instances_train2017.json", ranks)
    more = instance_photos(extra / "instances", extra / "annotations/instances_extra.json", ranks)
    return (
        panoptic[HELD_OUT:] + instances + more[HELD_OUT_INSTANCES:],
        panoptic[:HELD_OUT] + more[:HELD_OUT_INSTANCES],
        panoptic_photos(root, "val2017"),
    )
