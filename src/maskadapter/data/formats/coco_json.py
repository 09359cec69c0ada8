"""Reading the COCO JSON of a whole data set: checked, and grouped by image. Source: cocodataset.org, data format."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskadapter.errors import DatasetError, MaskError
from maskadapter.io import comparable_id
from maskadapter.system.json_files import read_json
from maskadapter.system.progress import busy

Id = int | float | str
"""An id in the one form in which ids are compared, see ``id_of``."""

MAX_BYTES = 4_000_000_000  # of a JSON that is read; LVIS v1's training annotations have 1.1 GB


def read_annotations(path: Path, lists: Sequence[str] = ("images", "annotations")) -> dict[str, Any]:
    """Read a COCO JSON file. Raises DatasetError: missing, too large, not JSON, or without one of the ``lists``."""
    with busy(f"reading {path.name}"):
        content = read_json(path, DatasetError, MAX_BYTES)
    for key in lists:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DatasetError(f'{path} is not a COCO file: it has no list "{key}"')
        for number, entry in enumerate(content[key], start=1):
            if not isinstance(entry, dict):
                problem = f'entry {number:,} of "{key}" is {_shown(entry)}, not an object with an id'
                raise DatasetError(f"{path} is not a COCO file: {problem}")
    return content


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """Turn errors about a malformed entry of the JSON into a DatasetError that names the file."""
    try:
        yield
    except KeyError as error:
        raise DatasetError(f"{path} is not a COCO file: an entry has no {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path} is not a COCO file: {error}") from None


def group_by_image(content: Mapping[str, Any], path: Path) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return every image's entry with the list of its annotations, in the order of the images.

    Raises DatasetError for annotations of an image that is not listed, and for images listed twice.
    """
    with in_file(path):
        found: dict[Id, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        files = set[str]()
        for image in content["images"]:
            number = id_of(image)
            if number in found:
                raise DatasetError(f"{path} lists two images with the same id {number}: ids must differ")
            if file_of(image) in files:
                raise DatasetError(f"{path} lists the image {file_of(image)} twice: join the two entries")
            files.add(file_of(image))
            found[number] = (image, [])
        for place, annotation in enumerate(content["annotations"], start=1):
            number = id_of(annotation, "image_id")
            if number not in found:
                which = annotation.get("id", f"number {place:,}")
                reason = f"an annotation of image {number}, which is not in its images (annotation {which})"
                raise DatasetError(f"{path} has {reason}")
            found[number][1].append(annotation)
        return list(found.values())


def id_of(entry: Mapping[str, Any], key: str = "id") -> Id:
    """Return an id in the one form in which ids are compared. Raises ValueError where it is null, a list, and so on."""
    try:
        return comparable_id(entry[key])
    except MaskError:
        problem = f"{key} is {_shown(entry[key])}; a number or a text is needed"
        raise ValueError(f"{problem} in {_shown(entry)}") from None


def file_of(entry: Mapping[str, Any]) -> str:
    """Return the path of an image or label below its folder; of LVIS v1's URLs, the last two parts: folder and file.

    Backslashes, as Windows writes them, become slashes. Raises ValueError where the name is not a text.
    """
    name = entry["file_name"] if "file_name" in entry else "/".join(str(entry["coco_url"]).split("/")[-2:])
    if not isinstance(name, str) or not name:
        raise ValueError(f"file_name is {_shown(name)}; a text is needed in {_shown(entry)}")
    return name.replace("\\", "/")


def size_of(image: Mapping[str, Any]) -> tuple[int, int]:
    """Return the (height, width) of an image's entry. Raises ValueError: no whole numbers above 0."""
    height, width = (str(image[key]).removesuffix(".0") for key in ("height", "width"))
    if not (height.isdecimal() and width.isdecimal() and int(height) * int(width)):
        given = f"height {_shown(image['height'])} and width {_shown(image['width'])}"
        raise ValueError(f"image {image.get('id')} has {given}; numbers of pixels are needed")
    return int(height), int(width)


def class_of(annotation: Mapping[str, Any], classes: Mapping[Any, int], path: Path) -> int:
    """Return the class index of an annotation or a segment. Raises DatasetError for a category not in ``classes``."""
    number = id_of(annotation, "category_id")
    if number not in classes:
        problem = f"an annotation of category {number}, which is not one of the {len(classes)}"
        raise DatasetError(f"{path} has {problem} (its id is {annotation.get('id')})")
    return classes[number]


def flag(entry: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """Return a flag, which files write as 0, 1, true or false, or as a text. Raises ValueError for anything else."""
    text = str(entry.get(key, default)).lower().removesuffix(".0")
    if text not in ("0", "1", "false", "true"):
        raise ValueError(f"{key} is {_shown(entry[key])}; 0 or 1 is needed in {_shown(entry)}")
    return text in ("1", "true")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
