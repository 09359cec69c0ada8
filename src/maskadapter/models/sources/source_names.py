"""Masks from outside the model, by name: ``sam:facebook/sam-vit-huge``, ``segmenter:NAME``, ``superpixels``, a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.models.sources.sam_options import SamOptions
from maskadapter.system.paths import user_path
from maskadapter.system.renamed import advice, renamed
from maskadapter.system.yaml_config import checked

if TYPE_CHECKING:
    import torch

MaskSource = Callable[[np.ndarray], Any]
"""Makes masks of an image (H, W, 3) uint8 RGB, whole and untouched: anything that ``mask_parts`` takes."""

SUPERPIXELS = "superpixels"


class SourceName(NamedTuple):
    """The parts of a source's text."""

    kind: str  # "sam", "segmenter" or "superpixels"
    name: str  # a repository of the Hugging Face hub or a folder; "" for superpixels
    options: Mapping[str, str]


def is_source(text: str) -> bool:
    """Whether a text is the name of a mask source rather than a file or folder."""
    return text == SUPERPIXELS or text.partition(":")[0] in ("sam", "segmenter")


def given_by_user(masks: Any) -> bool:
    """Whether masks are a user's own, rather than a source that makes them, its name, or None."""
    return masks is not None and not callable(masks) and not (isinstance(masks, str) and is_source(masks))


def parsed(text: str) -> SourceName:
    """Split a source's text into its parts. Raises MaskAdapterError, one line, for text that names no source."""
    if text == SUPERPIXELS:
        return SourceName(text, "", {})
    kind, _, name = text.partition(":")
    if not is_source(text) or not name:
        needed = "give sam:NAME, segmenter:NAME, superpixels, or a file of masks"
        raise MaskAdapterError(f"unknown mask source '{text}': {needed}")
    name, *given = name.split(",")
    while given and "=" not in given[0]:  # a folder may have commas in its name
        name += f",{given.pop(0)}"
    pairs = [option.partition("=") for option in given]
    return SourceName(kind, name, {key.strip(): value.strip() for key, _, value in pairs})


def check_masks(text: str) -> None:
    """Raise MaskAdapterError, one line, for a text that ``masks_from`` would refuse, as far as no model is needed."""
    if not is_source(text):
        if not user_path(text, MaskAdapterError).exists():
            needed = "masks are a file, a folder, sam:NAME, segmenter:NAME or superpixels"
            raise MaskAdapterError(f"no such file: {text}; {needed}")
        return
    kind, name, options = parsed(text)
    if kind == "segmenter" and options:
        raise MaskAdapterError(f"segmenter:{name} has no options, and {', '.join(options)} was given")
    if kind == "sam":
        _sam_options(name, options)


def _sam_options(name: str, options: Mapping[str, str]) -> SamOptions:
    for option in renamed("SAM option").keys() & options.keys():
        raise MaskAdapterError(f"sam:{name}: {advice('SAM option', option)}")
    return checked(SamOptions, options, f"sam:{name}", MaskAdapterError)


def mask_source(text: str, device: "str | torch.device" = "cpu") -> MaskSource:
    """Load a mask source. Raises MaskAdapterError, one line. text: ``sam:NAME`` or ``segmenter:NAME``, a model of
    transformers on the Hugging Face hub or in a folder, or ``superpixels``; after ``sam:NAME`` ``SamOptions``:
    ``sam:NAME,points_per_side=16,unmasked_regions=no``."""
    from maskadapter.models.sources.segment_anything import SegmentAnything
    from maskadapter.models.sources.superpixels import Superpixels
    from maskadapter.models.sources.universal_segmenter import UniversalSegmenter

    kind, name, options = parsed(text)
    check_masks(text)
    if kind == SUPERPIXELS:
        return Superpixels()
    if kind == "sam":
        return SegmentAnything.from_pretrained(name, _sam_options(name, options), device)
    return UniversalSegmenter.from_pretrained(name, device)


def masks_from(text: str, device: "str | torch.device" = "cpu") -> Path | MaskSource:
    """Masks as ``--masks`` of every command means them: a file, a folder with a file for each image, or a source, which
    is loaded. Raises MaskAdapterError, one line, for a file that does not exist and as ``mask_source`` does."""
    check_masks(text)
    return mask_source(text, device) if is_source(text) else user_path(text, MaskAdapterError)
