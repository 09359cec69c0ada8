"""A user's own data set, described by a YAML file: label maps, COCO instances or COCO panoptic.

    task: semantic                # what the ground truth labels: semantic, instance or panoptic
    classes: classes.txt          # one class a line, | separates synonyms; the first line is the pixel value 0
    train: {images: images/train, labels: labels/train}
    val: {images: images/val, labels: labels/val}

Paths are relative to the YAML file; ~ is the home folder. ``docs/datasets.md`` explains all keys.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from maskadapter.data.dataset import Dataset
from maskadapter.data.formats.coco_datasets import CocoInstances, CocoPanoptic
from maskadapter.data.formats.coco_json import Id, flag, id_of, in_file, read_annotations
from maskadapter.data.formats.image_label_pairs import find_pairs
from maskadapter.data.formats.semantic_folder import SemanticFolder, values_from
from maskadapter.errors import DatasetError
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.paths import user_path
from maskadapter.system.text_files import read_text
from maskadapter.system.yaml_config import checked, read_yaml
from maskadapter.types import UNLABELED
from maskadapter.vocabulary import Vocabulary, builtin_names

_MAX_CLASSES = 10_000_000  # bytes of a file of classes
_OTHER_FILES = (".yaml", ".yml", ".json", ".csv", ".tsv")
_NO_NAMES = re.compile(r"(names|nc)\s*:|[{\[<]")
_NUMBERED = re.compile(r"\d+\s*[:;\t ]\s*\S")  # the values count the lines, which the numbers may contradict


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Split(_Strict):
    """Files of one split. images: folder of images. list: text file that names some of them, one a line."""

    images: Path
    list: Path | None = None


class LabelFolders(_Split):
    """Files of one semantic split. labels: folder of label maps with the same names as the images."""

    labels: Path


class InstanceFiles(_Split):
    """Files of one instance split. annotations: JSON file in COCO's format."""

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
    """Images with label maps. first_value: pixel value of the first class, or of the first null: a null has a value and
    no class. ignore: values that stand for no class."""

    task: Literal["semantic"]
    classes: list[str | None] | str
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
    places = {key: _place(path, place) for key, place in files if place is not None}
    for key, place in places.items():
        if not place.exists():
            raise DatasetError(f"{path}: {split}.{key} is {getattr(files, key)}, and {place} does not exist")
    name, images, listing = described.name or path.stem, places["images"], places.get("list")
    if isinstance(files, LabelFolders):
        assert isinstance(described, SemanticData)
        vocabulary, classes = _classes_by_value(described, path)
        if taken := sorted(value for value in described.ignore if classes.get(value, UNLABELED) != UNLABELED):
            raise DatasetError(f'{path} ignores the value {taken[0]}, which is a class: correct "ignore"')
        values = classes | dict.fromkeys(described.ignore, UNLABELED)
        return SemanticFolder(name, vocabulary, find_pairs(images, places["labels"], listing), values, images, path)
    index = places["annotations"]
    content = read_annotations(index, ("images", "annotations", "categories"))
    vocabulary, category_classes = _categories(described, content, index, path)
    if isinstance(files, PanopticFiles):
        return CocoPanoptic(name, vocabulary, index, images, places["labels"], category_classes, content, listing)
    return CocoInstances(name, vocabulary, index, images, category_classes, content, listing)


def _place(path: Path, given: str | Path) -> Path:
    """Return the path that the YAML file at ``path`` means."""
    return path.parent / user_path(given, DatasetError)


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
    """Build the vocabulary from ``classes``: a built-in list, a file, or names, which have to differ."""
    classes = described.classes
    if isinstance(classes, str):
        return Vocabulary.of(classes if classes in builtin_names() else _place(path, classes), described.things)
    names = [name for name in classes or () if name is not None]
    vocabulary = Vocabulary.of(names, described.things)
    if len(vocabulary) != len(names):
        raise DatasetError(f"{path}: classes lists {len(names)} classes, some of them twice")
    return vocabulary


def _classes_by_value(described: SemanticData, path: Path) -> tuple[Vocabulary, dict[int, int]]:
    """Return the vocabulary, and pixel value -> class index or UNLABELED: the values count the lines of a file."""
    classes, first = described.classes, described.first_value
    if isinstance(classes, str) and classes in builtin_names():
        vocabulary = _vocabulary(described, path)
        return vocabulary, values_from(first, len(vocabulary))
    if isinstance(classes, str):
        file = _place(path, classes)
        text = read_text(file, _MAX_CLASSES, DatasetError, "file of classes")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        names = [None if line.lower() == "null" else line for line in lines]
        count = len(names) - names.count(None)
        needed = "one class a line is needed, no duplicates, no commas"
        other = any(map(_NO_NAMES.match, lines)) or all(map(_NUMBERED.match, lines))
        if not count or other or file.suffix.lower() in _OTHER_FILES:
            what = "holds no class names" if count else "has no classes"
            raise DatasetError(f"{file} {what}: {needed}, in a text file, or a list of names in {path}")
        vocabulary = Vocabulary.of("".join(f"{name}\n" for name in names if name), described.things)
        if count != len(vocabulary):  # a repeated class would shift the values that follow
            problem = f"{file} has {count} lines and {len(vocabulary)} classes: {needed}"
            raise DatasetError(f"{problem}, because the pixel values count the lines")
    else:
        names, vocabulary = classes, _vocabulary(described, path)
    indices = iter(range(len(vocabulary)))
    return vocabulary, {first + place: UNLABELED if name is None else next(indices) for place, name in enumerate(names)}


def _categories(
    described: CustomData, content: Mapping[str, Any], index: Path, path: Path
) -> tuple[Vocabulary, dict[Id, int]]:
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
        other = _place(path, first.annotations)
        rows = listed if other == index else _listed(read_annotations(other, ("categories",)), other)
        with in_file(other):
            # Categories of one name are one class.
            things = {_name(row): flag(row, "isthing", Vocabulary.of([_name(row)]).is_thing[0]) for row in rows}
        names = tuple((name,) for name in things)
        vocabulary = Vocabulary.of(Vocabulary(names, tuple(things.values())), described.things)
    class_of = {name: number for number, names in reversed(list(enumerate(vocabulary.classes))) for name in names}
    classes: dict[Id, int] = {}
    for row in listed:
        name = _name(row)
        if name not in class_of:
            hint = did_you_mean(name, class_of, otherwise="add it to the classes")
            raise DatasetError(f'{index} has the category "{name}", which is not among the classes of {path}; {hint}')
        classes[id_of(row)] = class_of[name]
    return vocabulary, classes


def _listed(content: Mapping[str, Any], index: Path) -> list[dict[str, Any]]:
    """Return the categories of a JSON, sorted by id: numbers before texts."""
    with in_file(index):
        rows = {id_of(row): row for row in content["categories"]}
        if len(rows) < len(content["categories"]):
            twice = next(number for number, times in Counter(map(id_of, content["categories"])).items() if times > 1)
            raise DatasetError(f"{index} has two categories with the same id {twice}: ids must differ")
        for number, row in rows.items():
            if not isinstance(row["name"], str | int) or not _name(row):
                raise DatasetError(f"{index} has a category without a name: {number}")
        return [rows[number] for number in sorted(rows, key=lambda number: (isinstance(number, str), number))]


def _name(category: Mapping[str, Any]) -> str:
    return str(category["name"]).strip()
