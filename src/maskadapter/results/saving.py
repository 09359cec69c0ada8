"""The files that a result is saved as."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "overlay": ("-overlay.png",),
    "labels": ("-labels.png", "-classes.json"),
    "panoptic": ("-panoptic.png", "-panoptic.json"),
    "coco": ("-instances.json",),
    "summary": ("-summary.json",),
    "activations": ("-activations.png",),
}
"""The formats of ``Segmentation.save``, and what the files of each are called after the stem."""

MASK_ENDINGS: Mapping[str, tuple[str, ...]] = {
    **{format: ENDINGS[format] for format in ("overlay", "labels", "coco")},
    "csv": ("-masks.csv",),
    "json": ("-masks.json",),
}
"""The formats of ``Classification.save``, and what the files of each are called after the stem."""

FORMATS = tuple(ENDINGS)


def check_formats(formats: str | Sequence[str], known: Sequence[str] = FORMATS) -> list[str]:
    """Split and check formats, a sequence or one text with commas. Raises MaskAdapterError for unknown ones."""
    names = [name.strip() for name in formats.split(",")] if isinstance(formats, str) else list(formats)
    if unknown := [name for name in names if name not in known]:
        raise MaskAdapterError(f"unknown format '{unknown[0]}': choose from {', '.join(known)}")
    return list(dict.fromkeys(names))


def write_file(path: Path, content: Any) -> Path:
    """Write an image as PNG, a text, or an object as JSON, whole or not at all."""
    if not isinstance(content, Image.Image | str):
        return write_json(path, content)
    with write_atomically(path) as temporary:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8", newline="")
        else:
            # Photos: a third of the time of Pillow's default, some percent larger. Label maps, with a palette, shrink.
            options = {"compress_level": 3} if content.mode == "RGB" else {}
            content.save(temporary, format="PNG", **options)
    return path
