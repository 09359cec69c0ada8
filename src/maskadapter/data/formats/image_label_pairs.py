"""Finding and reading images together with their label files."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from maskadapter.errors import DatasetError, MaskError
from maskadapter.io import find_image_files, read_image, read_labels

Pair = tuple[Path, Path]
"""An image and its label file."""

LABEL_SUFFIXES = (".png", ".tif", ".tiff")
"""Lossless formats; JPEG would change the values."""


def find_pairs(images: Path, labels: Path) -> list[Pair]:
    """Pair every image in a folder and its subfolders with the label file of the same name in ``labels``, sorted.

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
            + (f", and {len(missing) - 1:,} other images have none" if len(missing) > 1 else "")
            + f": {missing[0].stem}{LABEL_SUFFIXES[0]} is needed"
        )
    return [(image, label) for image, label in pairs if label is not None]


def pairs_named(names: Iterable[str], images: Path, labels: Path, suffix: str) -> list[Pair]:
    """Pair ``images/name.jpg`` with ``labels/name`` + ``suffix`` for every name; files may be missing."""
    return [(images / f"{name}.jpg", labels / f"{name}{suffix}") for name in names]


def read_pair(image: Path, label: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, (H, W, 3) uint8, and the values of its label file, (H, W) or (H, W, 3) integers.

    Raises DatasetError for a label file that is missing, damaged or of another size than the image; ImageError for an
    image that cannot be read.
    """
    pixels, values = read_image(image), read_label(label, image)
    check_size(image, pixels, str(label), (values.shape[0], values.shape[1]))
    return pixels, values


def read_label(label: Path, image: Path) -> np.ndarray:
    """Read the values of a label file, (H, W) or (H, W, 3) integers.

    image: its image, for the message. Raises DatasetError where the label file is missing or damaged.
    """
    if not label.is_file():
        raise DatasetError(f"{image} has no label: {label} is missing")
    try:
        values = read_labels(label)
    except MaskError as error:
        raise DatasetError(str(error)) from None
    return values.astype(np.uint8) if values.dtype == bool else values


def check_size(path: Path, image: np.ndarray, label: str, size: tuple[int, int]) -> None:
    """Check that a label has the size of its image.

    path, image: file and pixels of the image. label: what the message calls the label. size: (height, width) of the
    label. Raises DatasetError where the two sizes differ.
    """
    height, width = image.shape[:2]
    if size != (height, width):
        raise DatasetError(
            f"{label} has {size[1]} x {size[0]} pixels, its image {path} has {width} x {height}; they must agree"
        )
