"""Pictures and the label files that belong to them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from maskadapter.errors import DatasetError, MaskError
from maskadapter.images import read_image, read_labels
from maskadapter.pictures import find_pictures

Pair = tuple[Path, Path]
"""A picture and its label file."""

LABEL_SUFFIXES = (".png", ".tif", ".tiff")
"""Formats that keep every value; JPEG would change the labels."""


def find_pairs(pictures: Path, labels: Path) -> list[Pair]:
    """Every picture in a folder and its subfolders with the label of the same name in the other folder, sorted.

    Raises DatasetError for a picture without a label, ImageError for a folder without pictures.
    """
    found = {
        path.relative_to(labels).with_suffix("").as_posix(): path
        for path in sorted(labels.rglob("*"))
        if path.suffix.lower() in LABEL_SUFFIXES
    }
    pairs = [(Path(str(picture)), found.get(picture.stem)) for picture in find_pictures(pictures)]
    missing = [picture for picture, label in pairs if label is None]
    if missing:
        raise DatasetError(
            f"{missing[0]} has no label in {labels}"
            + (f", and {len(missing) - 1:,} more have none" if len(missing) > 1 else "")
            + f": {missing[0].stem}{LABEL_SUFFIXES[0]} is needed"
        )
    return [(picture, label) for picture, label in pairs if label is not None]


def pairs_named(names: Iterable[str], pictures: Path, labels: Path, suffix: str) -> list[Pair]:
    """The pairs of a list of names without suffix: ``pictures/name.jpg`` with ``labels/name`` + ``suffix``."""
    return [(pictures / f"{name}.jpg", labels / f"{name}{suffix}") for name in names]


def read_pair(picture: Path, label: Path) -> tuple[np.ndarray, np.ndarray]:
    """The picture, (H, W, 3) uint8, and the values of its label, (H, W) or (H, W, 3) integers.

    Raises DatasetError for a missing or damaged label and for one of another size; ImageError for the picture.
    """
    image, values = read_image(picture), read_label(label, picture)
    check_size(picture, image, str(label), (values.shape[0], values.shape[1]))
    return image, values


def read_label(label: Path, picture: Path) -> np.ndarray:
    """The values of a label file. Raises DatasetError where it is missing or damaged."""
    if not label.is_file():
        raise DatasetError(f"{picture} has no label: {label} is missing")
    try:
        values = read_labels(label)
    except MaskError as error:
        raise DatasetError(str(error)) from None
    return values.astype(np.uint8) if values.dtype == bool else values


def check_size(picture: Path, image: np.ndarray, label: str, size: tuple[int, int]) -> None:
    """Raises DatasetError where a label of ``size`` = (height, width) does not fit its picture."""
    height, width = image.shape[:2]
    if size != (height, width):
        raise DatasetError(
            f"{label} has {size[1]} x {size[0]} pixels, its picture {picture} has {width} x {height}; they must agree"
        )
