"""Images and the label files that belong to them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from maskadapter.errors import DatasetError, MaskError
from maskadapter.io.image_files import find_image_files
from maskadapter.io.images import read_image, read_labels

Pair = tuple[Path, Path]
"""An image and its label file."""

LABEL_SUFFIXES = (".png", ".tif", ".tiff")
"""Formats that keep every value; JPEG would change the labels."""


def find_pairs(images: Path, labels: Path) -> list[Pair]:
    """Every image in a folder and its subfolders with the label of the same name in the other folder, sorted.

    Raises DatasetError for an image without a label, ImageError for a folder without images.
    """
    found = {
        path.relative_to(labels).with_suffix("").as_posix(): path
        for path in sorted(labels.rglob("*"))
        if path.suffix.lower() in LABEL_SUFFIXES
    }
    pairs = [(Path(str(image)), found.get(image.stem)) for image in find_image_files(images)]
    missing = [image for image, label in pairs if label is None]
    if missing:
        raise DatasetError(
            f"{missing[0]} has no label in {labels}"
            + (f", and {len(missing) - 1:,} more have none" if len(missing) > 1 else "")
            + f": {missing[0].stem}{LABEL_SUFFIXES[0]} is needed"
        )
    return [(image, label) for image, label in pairs if label is not None]


def pairs_named(names: Iterable[str], images: Path, labels: Path, suffix: str) -> list[Pair]:
    """The pairs of a list of names without suffix: ``images/name.jpg`` with ``labels/name`` + ``suffix``."""
    return [(images / f"{name}.jpg", labels / f"{name}{suffix}") for name in names]


def read_pair(image: Path, label: Path) -> tuple[np.ndarray, np.ndarray]:
    """The image, (H, W, 3) uint8, and the values of its label, (H, W) or (H, W, 3) integers.

    Raises DatasetError for a missing or damaged label and for one of another size; ImageError for the image.
    """
    pixels, values = read_image(image), read_label(label, image)
    check_size(image, pixels, str(label), (values.shape[0], values.shape[1]))
    return pixels, values


def read_label(label: Path, image: Path) -> np.ndarray:
    """The values of a label file. Raises DatasetError where it is missing or damaged."""
    if not label.is_file():
        raise DatasetError(f"{image} has no label: {label} is missing")
    try:
        values = read_labels(label)
    except MaskError as error:
        raise DatasetError(str(error)) from None
    return values.astype(np.uint8) if values.dtype == bool else values


def check_size(path: Path, image: np.ndarray, label: str, size: tuple[int, int]) -> None:
    """Raises DatasetError where a label of ``size`` = (height, width) does not fit its image."""
    height, width = image.shape[:2]
    if size != (height, width):
        raise DatasetError(
            f"{label} has {size[1]} x {size[0]} pixels, its image {path} has {width} x {height}; they must agree"
        )
