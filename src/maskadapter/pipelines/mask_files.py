"""Masks of many images: one file or source for all of them, or a folder with a file for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskadapter.errors import ImageError, MaskError
from maskadapter.io import ImageFile, file_of
from maskadapter.models.sources import is_source
from maskadapter.pipelines.run_record import file_hash
from maskadapter.system.paths import user_path

MASK_SUFFIXES = (".png", ".npy", ".npz", ".json")
"""Files of masks; of several for one image the first of these is taken."""


@dataclass(frozen=True)
class MaskedImage(ImageFile):
    """An image and its masks.

    given: as ``encode_image`` takes them; None for the model's own. masks_sha256: of their file. missing: why there are
    none, where there should be."""

    given: Any = None
    masks_sha256: str | None = None
    missing: str = ""

    @property
    def masks(self) -> Any:
        """The masks. Raises ImageError where there is no file for the image."""
        if self.missing:
            raise ImageError(self.missing)
        return self.given

    @property
    def content(self) -> dict[str, Any]:
        """As of any image, and SHA-256 of the masks' file: with other masks the results are others."""
        content = super().content
        return content | {"masks": self.masks_sha256} if content and self.masks_sha256 else content


def with_masks(images: Sequence[ImageFile], masks: Any) -> list[MaskedImage]:
    """Give each image its masks: the file of its name in a folder, and anything else as it is.

    masks: a folder with ``<stem>.png`` or another of ``MASK_SUFFIXES`` for every image, where images in that folder are
        none of ``images``; a file; or what else ``encode_image`` takes.
    Raises MaskError: no such file; many images and the file of one; a folder without masks of any, or with one file for
    two of the images. One image of several without a file is an error of that image, when its masks are asked for."""
    if isinstance(masks, str) and not is_source(masks):
        masks = user_path(masks, MaskError)
    if not isinstance(masks, Path):
        return [MaskedImage(image.source, image.stem, masks) for image in images]
    if masks.is_dir():
        return _from_folder(images, masks)
    if not masks.exists():
        raise MaskError(f"no such file: {masks}")
    if len(images) > 1 and masks.suffix.lower() != ".json":
        needed = "give a folder with a file for each, or one COCO JSON file"
        raise MaskError(f"{masks} has masks of one image, and {len(images):,} were given: {needed}")
    sha256 = file_hash(masks) if masks.is_file() else None  # a pipe can be read once
    return [MaskedImage(image.source, image.stem, masks, sha256) for image in images]


def _from_folder(images: Sequence[ImageFile], folder: Path) -> list[MaskedImage]:
    place = folder.resolve()
    outside = [one for one in images if not isinstance(one.source, Path) or place not in one.source.resolve().parents]
    found: dict[Path, ImageFile] = {}
    result = []
    for image in outside or images:
        itself = image.source if isinstance(image.source, Path) else None
        path = file_of(folder, f"{image.stem}.png", MASK_SUFFIXES, itself)
        if path is None:
            missing = f"{image}: no masks in {folder}: {needed_files(image.stem)} is needed"
            result.append(MaskedImage(image.source, image.stem, missing=missing))
        elif (other := found.setdefault(path, image)) is not image:
            todo = "name masks after the images' paths, subfolders included"
            raise MaskError(f"{other} and {image} would share the masks {path}: {todo}")
        else:
            result.append(MaskedImage(image.source, image.stem, path, file_hash(path)))
    if not found:
        raise MaskError(result[0].missing)
    return result


def needed_files(stem: str) -> str:
    """The names that the file with an image's masks may have, as text."""
    return stem + ", ".join(MASK_SUFFIXES)
