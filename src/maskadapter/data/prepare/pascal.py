"""Converting PASCAL-Context: label maps of 459 classes from MATLAB files, of 59 classes from one JSON file.

Source: FC-CLIP's prepare_pascal_ctx_full_sem_seg.py and prepare_pascal_ctx_sem_seg.py.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from maskadapter.data.catalog import KNOWN, category_ids
from maskadapter.data.formats.coco_json import class_of, in_file, read_annotations
from maskadapter.data.layout import Gap, Split, SplitFiles, missing_files, missing_path, too_few_images
from maskadapter.data.prepare.conversion import convert_each, write_label
from maskadapter.errors import DatasetError, MaskError
from maskadapter.io import decode_segmentation

IGNORED_59 = 255
_JSON = "trainval_merged.json"


def sources_459(folder: Path, split: str) -> SplitFiles:
    """Return the source files of the 459 classes for a split: VOC2010 and the MATLAB files."""
    # The official conversion splits by the images of the 59 classes: 4,998 and 5,105, which are VOC2010's own lists.
    count = KNOWN["pascal-context-459"].splits[split].count
    return SplitFiles(folder, Split(count, "JPEGImages", "trainval", f"ImageSets/Main/{split}.txt", ".mat"))


def convert_459(folder: Path, split: str) -> None:
    """Write those label maps of a split that do not exist yet. Raises DatasetError, naming the file."""
    labels = KNOWN["pascal-context-459"].splits[split].labels

    def one(pair: tuple[Path, Path]) -> None:
        place = folder / labels / f"{pair[1].stem}.tif"
        if pair[1].is_file() and not place.is_file():
            write_label(read_label_map(pair[1]), place)

    convert_each(sources_459(folder, split).pairs(), one, f"converting pascal-context-459, {split}")


def read_label_map(path: Path) -> np.ndarray:
    """Read the label map in a MATLAB file, (H, W) uint16: class 1 becomes 0, and 0 becomes 65535 (unlabeled).

    Raises DatasetError for a file without a 16-bit ``LabelMap``, and for a class above 459.
    """
    try:
        values = loadmat(path, variable_names=["LabelMap"])["LabelMap"]
    except Exception as error:  # damaged files make the reader raise nearly anything
        raise DatasetError(f"cannot read LabelMap from {path}: {error}") from None
    if values.dtype != np.uint16 or values.ndim != 2:
        raise DatasetError(f"LabelMap in {path} is {values.dtype} of shape {values.shape}; (H, W) uint16 is needed")
    if values.max(initial=0) > 459:
        raise DatasetError(f"{path} has the value {values.max()}; PASCAL-Context has 459 classes")
    return values - np.uint16(1)  # 0 wraps to 65535


def source_gaps_59(folder: Path, split: str) -> list[Gap]:
    """Return which source files of the 59 classes are missing for a split: VOC2010 and the JSON file."""
    if gaps := [missing_path(path) for path in (_JSON, "JPEGImages") if not (folder / path).exists()]:
        return gaps
    names = [image["file_name"] for image in _images(folder / _JSON, split)]
    held = {path.name for path in (folder / "JPEGImages").iterdir()}
    gaps = too_few_images(_JSON, len(names), KNOWN["pascal-context-59"].splits[split].count)
    return gaps + missing_files("JPEGImages", [name for name in names if name not in held])


def convert_59(folder: Path, split: str) -> None:
    """Write those label maps of a split that do not exist yet. Raises DatasetError, naming file and image."""
    layout, path = KNOWN["pascal-context-59"].splits[split], folder / _JSON

    def one(image: dict[str, Any]) -> None:
        place = folder / layout.labels / f"{Path(image['file_name']).stem}.png"
        if not place.is_file():
            with in_file(path):
                labels = _label_map(image, path)
            write_label(labels, place)

    images = _images(path, split) if path.is_file() else []
    convert_each(images, one, f"converting pascal-context-59, {split}")


def _label_map(image: dict[str, Any], path: Path) -> np.ndarray:
    """Draw annotations of one image, later over earlier ones, as a label map, (H, W) uint8: 0 to 58, or 255."""
    classes = {0: IGNORED_59} | category_ids("pascal-context-59")
    size = (int(image["height"]), int(image["width"]))
    labels = np.full(size, IGNORED_59, dtype=np.uint8)
    for annotation in image["annotations"]:
        try:
            mask = decode_segmentation(annotation["segmentation"], size)
        except MaskError as error:
            raise DatasetError(f"{path}, {image['file_name']}: {error}") from None
        labels[mask] = class_of(annotation, classes, path)
    return labels


def _images(path: Path, split: str) -> list[dict[str, Any]]:
    """Return the entries of the images of a split, each with its annotations."""
    content = read_annotations(path, ("images", "annos_segmentation"))
    with in_file(path):
        images = {image["image_id"]: {**image, "annotations": []} for image in content["images"]}
        for annotation in content["annos_segmentation"]:
            images[annotation["image_id"]]["annotations"].append(annotation)
        return [image for image in images.values() if image["phase"] == split]
