"""A user's own data set, described by a YAML file: label maps, COCO instances or COCO panoptic.

    task: semantic                # what the ground truth labels: semantic, instance or panoptic
    classes: classes.txt          # one class a line, | separates synonyms; the first line is the pixel value 0
    train: {images: images/train, labels: labels/train}
    val: {images: images/val, labels: labels/val}

Paths are relative to the YAML file. ``docs/datasets.md`` explains all keys.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from maskadapter.data.dataset import Dataset
from maskadapter.data.formats.coco_datasets import CocoInstances, CocoPanoptic
from maskadapter.data.formats.coco_json import in_file, read_annotations
from maskadapter.data.formats.image_label_pairs import find_pairs
from maskadapter.data.formats.semantic_folder import SemanticFolder, values_from
from maskadapter.errors import DatasetError
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.yaml_config import checked, read_yaml
from maskadapter.types import UNLABELED
from maskadapter.vocabulary import Vocabulary, builtin_names


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelFolders(_Strict):
    """Files of one semantic split. images: folder of images. labels: folder of label maps with the same names."""

    images: Path
    labels: Path


class InstanceFiles(_Strict):
    """Files of one instance split. images: folder of images. annotations: JSON file in COCO's format."""

    images: Path
    annotations: Path


class PanopticFiles(InstanceFiles):
    """Files of one panoptic split. labels: folder of panoptic PNGs."""

    labels: Path


Files = TypeVar("Files", LabelFolders, InstanceFiles, PanopticFiles)


class _Described(_Strict, Generic[Files]):
    name: str | None = None
    things: list[str] | None = None
    train: Files | None = None
    val: Files | None = None


class SemanticData(_Described[LabelFolders]):
    """Images with label maps. first_value: pixel value of the first class. ignore: values that stand for no class."""

    task: Literal["semantic"]
    classes: list[str] | str
    first_value: Annotated[int, Field(ge=0, le=65535)] = 0
    ignore: list[Annotated[int, Field(ge=0, le=65535)]] = [255]


class CocoData(_Described[Files], Generic[Files]):
    """COCO instances or panoptic segments. classes: the categories of the JSON where left out."""

    task: Literal["instance", "panoptic"]
    classes: list[str] | str | None = None


CustomData = SemanticData | CocoData[InstanceFiles] | CocoData[PanopticFiles]
_SCHEMAS: dict[str, type[CustomData]] = {
    "semantic": SemanticData,
    "instance": CocoData[InstanceFiles],
    "panoptic": CocoData[PanopticFiles],
}


def open_custom(path: Path, split: str) -> Dataset:
    """Open a split, "train" or "val", of the data set that the YAML file at ``path`` describes.

    Raises DatasetError: missing files, unknown or missing keys, no such split, classes that do not match the labels.
    """
    described = read_description(path)
    if split not in ("train", "val"):
        raise DatasetError(f'{path} has no split "{split}"; there are train and val')
    files = described.train if split == "train" else described.val
    if files is None:
        raise DatasetError(f'{path} describes no "{split}" split: add {split}: with its images')
    folder = path.parent
    for key, place in files:
        if not (folder / place).exists():
            raise DatasetError(f"{path}: {split}.{key} is {place}, and {folder / place} does not exist")
    name, images = described.name or path.stem, folder / files.images
    if isinstance(files, LabelFolders):
        assert isinstance(described, SemanticData)
        vocabulary = _vocabulary(described, path)
        values = values_from(described.first_value, len(vocabulary))
        if taken := sorted(values.keys() & set(described.ignore)):
            raise DatasetError(f'{path} ignores the value {taken[0]}, which is a class: correct "ignore"')
        values |= dict.fromkeys(described.ignore, UNLABELED)
        return SemanticFolder(name, vocabulary, find_pairs(images, folder / files.labels), values, images)
    index = folder / files.annotations
    content = read_annotations(index, ("images", "annotations", "categories"))
    vocabulary, classes = _categories(described, content, index, path)
    if isinstance(files, PanopticFiles):
        return CocoPanoptic(name, vocabulary, index, images, folder / files.labels, classes, content)
    return CocoInstances(name, vocabulary, index, images, classes, content)


def read_description(path: Path) -> CustomData:
    """Read and check the YAML file. Raises DatasetError, one line, for the first mistake in it."""
    content = read_yaml(path, DatasetError)
    task = str(content.get("task"))
    if task not in _SCHEMAS:
        raise DatasetError(f"{path}: task is {task[:60]!r}; choose from {', '.join(_SCHEMAS)}")
    described = checked(_SCHEMAS[task], content, str(path), DatasetError)
    if described.train is None and described.val is None:
        raise DatasetError(f"{path} describes no data: add train: or val: with its images")
    return described


def _vocabulary(described: CustomData, path: Path) -> Vocabulary:
    """Build the vocabulary from ``classes``. In label maps a repeated class would shift the values that follow."""
    classes = described.classes
    if isinstance(classes, str) and classes not in builtin_names():
        file = path.parent / classes
        vocabulary = Vocabulary.of(file, described.things)
        if described.task == "semantic":
            lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
            count = sum(not line.startswith("#") for line in lines if line)
            if count != len(vocabulary):
                needed = "one class a line is needed, no duplicates, no commas"
                problem = f"{file} has {count} lines and {len(vocabulary)} classes: {needed}"
                raise DatasetError(f"{problem}, because the pixel values count the lines")
        return vocabulary
    assert classes is not None
    vocabulary = Vocabulary.of(classes, described.things)
    if not isinstance(classes, str) and len(vocabulary) != len(classes):
        raise DatasetError(f"{path}: classes lists {len(classes)} classes, some of them twice")
    return vocabulary


def _categories(
    described: CustomData, content: Mapping[str, Any], index: Path, path: Path
) -> tuple[Vocabulary, dict[int, int]]:
    """Return the vocabulary, and category id -> class index for the JSON of one split.

    index, content: that JSON file. path: the YAML file. Without ``classes`` the vocabulary is the categories of the
    first split that is described, in the order of their ids.
    """
    listed = _listed(content, index)
    if described.classes is not None:
        vocabulary = _vocabulary(described, path)
    else:
        first = described.train or described.val
        assert isinstance(first, InstanceFiles)
        other = path.parent / first.annotations
        rows = listed if other == index else _listed(read_annotations(other, ("categories",)), other)
        names = tuple((str(row["name"]),) for row in rows)
        flags = (row.get("isthing", Vocabulary.of([name]).is_thing[0]) for row, name in zip(rows, names, strict=True))
        vocabulary = Vocabulary.of(Vocabulary(names, tuple(map(bool, flags))), described.things)
    class_of = {name: number for number, names in reversed(list(enumerate(vocabulary.classes))) for name in names}
    classes = {}
    for row in listed:
        name = str(row["name"])
        if name not in class_of:
            hint = did_you_mean(name, class_of, otherwise="add it to the classes")
            raise DatasetError(f'{index} has the category "{name}", which is not among the classes of {path}; {hint}')
        classes[int(row["id"])] = class_of[name]
    return vocabulary, classes


def _listed(content: Mapping[str, Any], index: Path) -> list[dict[str, Any]]:
    """Return the categories of a JSON, sorted by id."""
    with in_file(index):
        rows = sorted(content["categories"], key=lambda row: int(row["id"]))
        if not all(row["name"] for row in rows):
            raise DatasetError(f"{index} has a category without a name")
        return rows
