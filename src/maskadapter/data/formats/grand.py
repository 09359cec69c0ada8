"""GranD: objects with free-text names and masks on images of SA-1B, one JSON file per image.

Source: mbzuai-oryx/groundingLMM, folder GranD: prepare_level_1.py (names of an object: those of several detectors, in
no order), merge_eva_labels.py (``label``: the one that a classifier chose), add_masks_to_annotations.py and hq_sam
(masks: COCO's compressed run lengths), prepare_object_lvl_data.py (the form without the other levels).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.formats.coco_datasets import PackedRecords
from maskadapter.data.formats.coco_json import flag
from maskadapter.errors import DatasetError, MaskError
from maskadapter.io import decode_segmentation, read_image
from maskadapter.system.json_files import read_json
from maskadapter.types import Target
from maskadapter.vocabulary import Vocabulary


class GranD:
    """The images in one folder that have an annotation of the same name in another; subfolders do not matter.

    The constructor lists the files; images and annotations are read on access. Masks may overlap and may be empty.
    Objects without a mask or without a name are left out, and so are ``floating_objects``, which one detector alone
    found. Raises DatasetError: two files of one image; no image with an annotation.
    """

    task: Task = "instance"
    free_text: Literal[True] = True

    def __init__(self, name: str, images: Path, annotations: Path) -> None:
        self.name, self.images, self.annotations = name, images, annotations
        found, labels = files_by_stem(images, ".jpg"), files_by_stem(annotations, ".json")
        self._rows = PackedRecords((found[stem], labels[stem]) for stem in sorted(found.keys() & labels.keys()))
        if not len(self._rows):
            counts = f"{len(found):,} images in {images} and {len(labels):,} annotations in {annotations}"
            raise DatasetError(f"{name} has {counts}, and none belong together: other archives are needed")

    @property
    def vocabulary(self) -> Vocabulary:
        """Raises DatasetError: every sample has a vocabulary of its own."""
        use = "train an adapter on it, by the stage warmup or mixed"
        raise DatasetError(f"{self.name} has no list of classes, its names are free text: {use}")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file: an annotation in another form, a malformed mask or one of another size;
        ImageError: an unreadable image."""
        file, label = self._rows[index]
        image = read_image(self.images / file)
        height, width = image.shape[:2]
        objects = _objects(self.annotations / label)
        masks, crowds = np.zeros((len(objects), height, width), dtype=bool), np.zeros(len(objects), dtype=bool)
        for place, (where, _, one) in enumerate(objects):
            try:
                masks[place] = decode_segmentation(one["segmentation"], (height, width))
                crowds[place] = flag(one, "iscrowd")
            except (MaskError, ValueError) as error:
                raise DatasetError(f"{where}: {error}") from None
        classes = {names: number for number, names in enumerate(dict.fromkeys(names for _, names, _ in objects))}
        vocabulary = Vocabulary(tuple(classes), (True,) * len(classes)) if classes else None
        numbers = np.array([classes[names] for _, names, _ in objects], dtype=np.int64)
        return Sample(image, Target(numbers, crowds, overlapping=masks), file, vocabulary)


def files_by_stem(folder: Path, suffix: str) -> dict[str, str]:
    """Map names without suffix to the paths, below ``folder``, of the files in it and its subfolders.

    Raises DatasetError for two files of one name, and for a folder that cannot be read; one that is not there has no
    files. Nothing is opened: SA-1B has millions of files.
    """
    found: dict[str, str] = {}

    def stop(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise DatasetError(f"cannot read {error.filename}: {error.strerror}")

    for parent, _, names in os.walk(folder, onerror=stop):
        inside = Path(parent).relative_to(folder)
        for name in names:
            if name.endswith(suffix) and not name.startswith("."):  # macOS puts ._sa_1.jpg beside sa_1.jpg
                path = (inside / name).as_posix()
                if found.setdefault(name.removesuffix(suffix), path) != path:
                    other = found[name.removesuffix(suffix)]
                    raise DatasetError(f"{folder} has {other} and {path}, of the same image: remove one of them")
    return found


def _objects(path: Path) -> list[tuple[str, tuple[str, ...], Mapping[str, Any]]]:
    """Read the objects of an annotation that have a mask and a name: for messages where each stands, its names, itself.

    The only key of the file, the image's name, has them as a list, or beside the other levels.
    """
    content = read_json(path, DatasetError)
    if not isinstance(content, dict) or [PurePosixPath(key).stem for key in content] != [path.stem]:
        problem = f"its only key has to be the image's file name, {path.stem}.jpg"
        raise DatasetError(f"{path} is not an annotation of GranD: {problem}")
    objects = next(iter(content.values()))
    if isinstance(objects, dict):
        objects = objects.get("objects")
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise DatasetError(f"{path} is not an annotation of GranD: it has no list of objects")
    listed = [(f"{path}, object number {place}", one) for place, one in enumerate(objects, start=1)]
    named = [(where, _names(one, where), one) for where, one in listed if one.get("segmentation")]
    return [row for row in named if row[1]]


def _names(one: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the names of an object, the chosen one first. Raises DatasetError where one is not a text."""
    labels, chosen = one.get("labels") or [], one.get("label")
    given = [chosen, *labels] if chosen and isinstance(labels, list) else labels
    if not isinstance(given, list) or not all(
        isinstance(name, str) and not re.search("[\ud800-\udfff]", name) for name in given
    ):
        raise DatasetError(f"{where}: its labels are {ascii(given)[:60]}; a list of texts is needed")
    # As the names of LVIS are written here: sandal_(type_of_shoe) is "sandal (type of shoe)".
    cleaned = (" ".join(name.replace("_", " ").split()) for name in given)
    return tuple(dict.fromkeys(name for name in cleaned if name))
