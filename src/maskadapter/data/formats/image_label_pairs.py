"""Finding and reading images together with their label files."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from maskadapter.data.formats.listing import read_listing
from maskadapter.errors import DatasetError, MaskError
from maskadapter.io import find_image_files, read_image, read_labels

Pair = tuple[Path, Path]
"""An image and its label file."""

LABEL_SUFFIXES = (".png", ".tif", ".tiff")  # lossless formats; JPEG would change the values


def find_pairs(images: Path, labels: Path, listing: Path | None = None) -> list[Pair]:
    """Pair every image in a folder and its subfolders with the label file of the same name in ``labels``, sorted.

    listing: a file that names the images to take, in its order. Raises DatasetError for an image without a label and
    a listing that does not fit, ImageError for a folder without images.
    """
    found: dict[str, Path] = {}
    for path in sorted(labels.rglob("*")):
        if path.suffix.lower() in LABEL_SUFFIXES:
            name = path.relative_to(labels).with_suffix("").as_posix()
            if found.setdefault(name, path) != path:
                raise DatasetError(f"{found[name]} and {path} label the same image: remove one of them")
    files = find_image_files(images)
    if listing is not None:
        names = [Path(str(image)).relative_to(images).as_posix() for image in files]
        files = [files[place] for place in read_listing(listing, names, images)]
    missing = [Path(str(image)) for image in files if image.stem not in found]
    if missing:
        raise DatasetError(f"{no_label(missing, labels)}: {missing[0].stem}{LABEL_SUFFIXES[0]} is needed")
    return [(Path(str(image)), found[image.stem]) for image in files]


def no_label(images: Sequence[Path | str], labels: Path) -> str:
    """Return the message for one or more images without a label in the folder ``labels``."""
    more = f", and {len(images) - 1:,} other images have none" if len(images) > 1 else ""
    return f"{images[0]} has no label in {labels}{more}"


def fingerprint_of(files: Iterable[Path]) -> str:
    """Hash names, sizes and modification times of files, in their order: 16 digits. Files may be missing."""
    digest = sha256()
    for file in files:
        try:
            facts = file.stat()
            digest.update(repr((file.name, facts.st_size, facts.st_mtime_ns)).encode())
        except OSError:
            digest.update(repr((file.name, None)).encode())
    return digest.hexdigest()[:16]


def read_pair(image: Path, label: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, (H, W, 3) uint8, and the values of its label file, (H, W) or (H, W, 3) integers.

    Raises DatasetError: a label file that is missing, damaged or of another size; ImageError: an unreadable image.
    """
    pixels, values = read_image(image), read_label(label, image)
    check_size(image, pixels, str(label), values.shape[:2])
    return pixels, values


def read_label(label: Path, image: Path) -> np.ndarray:
    """Read the values of a label file, (H, W) or (H, W, 3) integers. Raises DatasetError: it is missing or damaged."""
    if not label.is_file():
        raise DatasetError(f"{image} has no label: {label} is missing")
    try:
        values = read_labels(label)
    except MaskError as error:
        raise DatasetError(str(error)) from None
    return values.astype(np.uint8) if values.dtype == bool else values


def check_size(path: Path, image: np.ndarray, label: str, size: tuple[int, ...]) -> None:
    """Raise DatasetError where a label of ``size`` (height, width) has another size than its image.

    path, image: file and pixels of the image. label: what the message calls the label.
    """
    height, width = image.shape[:2]
    if size != (height, width):
        given = f"{label} has {size[1]} x {size[0]} pixels"
        raise DatasetError(f"{given}, its image {path} has {width} x {height}; they must agree")
