"""Reading the COCO JSON of a whole data set: checked, and grouped by image. Source: cocodataset.org, data format."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskadapter.errors import DatasetError
from maskadapter.system.json_files import read_json
from maskadapter.system.progress import busy

MAX_BYTES = 4_000_000_000  # of a JSON that is read; LVIS v1's training annotations have 1.1 GB


def read_annotations(path: Path, lists: Sequence[str] = ("images", "annotations")) -> dict[str, Any]:
    """Read a COCO JSON file. Raises DatasetError: missing, too large, not JSON, or without one of the ``lists``."""
    with busy(f"reading {path.name}"):
        content = read_json(path, DatasetError, MAX_BYTES)
    for key in lists:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DatasetError(f'{path} is not a COCO file: it has no list "{key}"')
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
        found: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
        if len(found) != len(content["images"]):
            raise DatasetError(f"{path} lists two images with the same id: ids must differ")
        for annotation in content["annotations"]:
            number = annotation["image_id"]
            if number not in found:
                raise DatasetError(f"{path} has an annotation of image {number}, which is not in its images")
            found[number].append(annotation)
        return [(image, found[image["id"]]) for image in content["images"]]


def file_of(image: Mapping[str, Any]) -> str:
    """Return the path of an image below the image folder; of LVIS v1's URLs, the last two parts: folder and file."""
    return str(image["file_name"]) if "file_name" in image else "/".join(str(image["coco_url"]).split("/")[-2:])


def class_of(category: Any, classes: Mapping[int, int], path: Path) -> int:
    """Return the class index of a category id. Raises DatasetError for an id that ``classes`` does not hold."""
    if category not in classes:
        raise DatasetError(f"{path} has an annotation of category {category}, which is not one of the {len(classes)}")
    return classes[category]
