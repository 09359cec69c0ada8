"""The formats that results are saved in."""

from collections.abc import Sequence

from maskadapter.errors import MaskAdapterError

ENDINGS = {
    "overlay": ("-overlay.png",),
    "labels": ("-labels.png", "-classes.json"),
    "panoptic": ("-panoptic.png", "-panoptic.json"),
    "coco": ("-instances.json",),
    "summary": ("-summary.json",),
    "activations": ("-activations.png",),
}
"""The formats of ``Segmentation.save``, and what the files of each are called after the stem."""

FORMATS = tuple(ENDINGS)


def check_formats(formats: str | Sequence[str]) -> list[str]:
    """Split and check formats, a sequence or one text with commas. Raises MaskAdapterError for one that is unknown."""
    names = [name.strip() for name in formats.split(",")] if isinstance(formats, str) else list(formats)
    if unknown := [name for name in names if name not in FORMATS]:
        raise MaskAdapterError(f"unknown format '{unknown[0]}': choose from {', '.join(FORMATS)}")
    return names
