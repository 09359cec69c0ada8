"""Masks in annotations: COCO's JSON, the dicts of SAM's mask generator, and those of transformers' pipelines."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from maskadapter.errors import MaskError
from maskadapter.io.coco_format import comparable_id, decode_segmentation
from maskadapter.io.mask_arrays import one_mask


def annotations_of_image(
    content: Mapping[str, Any], size: tuple[int, int], file_name: str | None
) -> list[Mapping[str, Any]]:
    """Return the annotations of ``file_name``, or of the only image, in the content of a whole COCO file.

    Raises MaskError: not a COCO file, no or several such images, an image of another size, ids that occur twice, or an
    annotation of an image that is not listed.
    """
    images, annotations = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise MaskError("not a COCO file: 'images' and 'annotations', or a list of annotations, are needed")
    listed = _by_id(images, "image")
    _by_id(content.get("categories") or [], "category")
    name = file_name and _last_part(file_name)
    wanted = [n for n, image in listed.items() if len(images) == 1 or _last_part(str(image.get("file_name"))) == name]
    if len(wanted) != 1:
        raise MaskError(f"the COCO file has {len(images)} images, and {len(wanted)} of them named {file_name}")
    image = listed[wanted[0]]
    sides = [image.get("height"), image.get("width")]
    if None not in sides and tuple(map(comparable_id, sides)) != tuple(size):
        raise MaskError(f"the COCO file lists an image of {sides[1]} x {sides[0]} pixels; it has {size[1]} x {size[0]}")
    found = []
    for place, annotation in enumerate(annotations):
        what = f"annotation {_shown(annotation, place)}"
        number = _id(annotation, "image_id", what)
        if number not in listed:
            raise MaskError(f"{what} is of image {number}, which 'images' does not list")
        if number == wanted[0]:
            found.append(annotation)
    return found


def check_one_image(annotations: Sequence[Mapping[str, Any]]) -> None:
    """Raises MaskError for annotations of several images, of which nothing says which one is meant."""
    ids = {comparable_id(a["image_id"]) for a in annotations if "image_id" in a}
    if len(ids) > 1:
        raise MaskError(f"the list has annotations of {len(ids)} images: a COCO file with 'images' is needed to choose")


def decode_annotations(annotations: Sequence[Mapping[str, Any]], size: tuple[int, int], first: int = 0) -> np.ndarray:
    """Decode the masks of annotations, (N, H, W) bool. first: place of the first one, for messages.

    Raises MaskError, naming the annotation, for one that gives no mask, or none of this size.
    """
    masks = np.zeros((len(annotations), *size), dtype=bool)
    for place, (mask, annotation) in enumerate(zip(masks, annotations, strict=True), start=first):
        try:
            mask[:] = _mask(annotation, size)
        except MaskError as error:
            raise MaskError(f"annotation {_shown(annotation, place)}: {error}") from None
    return masks


def _mask(annotation: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    given = annotation.get("segmentation", annotation.get("mask"))  # 'mask': transformers' image-segmentation pipeline
    if given is None and "segments_info" in annotation:
        raise MaskError("a panoptic annotation has its masks in a PNG: give that")
    if given is None:
        raise MaskError("no 'segmentation'; polygons, run lengths or a boolean array are needed")
    if not isinstance(given, Mapping | Sequence | int | float) or _is_nested(given, size):
        return one_mask(given, size)
    mask = decode_segmentation(given, size)
    if isinstance(given, list | tuple) and not mask.any():
        raise MaskError("the polygons cover no pixel")
    return mask


def _is_nested(given: Any, size: tuple[int, int]) -> bool:
    """Whether a list holds a mask row by row, as an array's ``tolist()`` does, and not polygons."""
    if not isinstance(given, list | tuple) or len(given) != size[0]:
        return False
    return all(isinstance(row, list | tuple) and len(row) == size[1] for row in given)


def _by_id(entries: Any, what: str) -> dict[int | float | str, Mapping[str, Any]]:
    if not isinstance(entries, list):
        raise MaskError(f"not a COCO file: its {what} entries are not a list")
    found: dict[int | float | str, Mapping[str, Any]] = {}
    for place, entry in enumerate(entries):
        number = _id(entry, "id", f"{what} {_shown(entry, place)}")
        if number in found:
            raise MaskError(f"two {what} entries have the id {number}: ids must differ")
        found[number] = entry
    return found


def _id(entry: Any, key: str, what: str) -> int | float | str:
    if not isinstance(entry, Mapping):
        raise MaskError(f"{what} is {kind_of(entry)}, not an object with '{key}'")
    if key not in entry:
        raise MaskError(f"{what} has no '{key}'")
    try:
        return comparable_id(entry[key])
    except MaskError as error:
        raise MaskError(f"{what}: '{key}': {error}") from None


def kind_of(entry: Any) -> str:
    """Name the kind of an entry of a JSON list, for messages."""
    return "null" if entry is None else type(entry).__name__


def _shown(entry: Any, place: int) -> str:
    """Name an entry: by its id, or by its place in the list."""
    number = entry.get("id") if isinstance(entry, Mapping) else None
    return f"number {place + 1}" if number is None else f"{number!r:.40}"


def _last_part(name: str) -> str:
    """Return a file's name without folders, also those that Windows separates."""
    return PurePosixPath(name.replace("\\", "/")).name
