"""Where masks come from, by name: ``sam:facebook/sam-vit-huge``, ``segmenter:facebook/mask2former-...``,
``superpixels``."""

from collections.abc import Callable, Mapping

from torch import nn

from maskadapter.errors import MaskAdapterError
from maskadapter.models.regions import Superpixels
from maskadapter.models.segment_anything import SegmentAnything
from maskadapter.models.universal_segmenter import UniversalSegmenter

SOURCES: Mapping[str, Callable[[str], nn.Module]] = {
    "sam": SegmentAnything.from_pretrained,
    "segmenter": UniversalSegmenter.from_pretrained,
}

SUPERPIXELS = "superpixels"
"""The source that needs no network."""


def is_source(text: str) -> bool:
    """Whether a text names a source, and no file or folder."""
    return text == SUPERPIXELS or text.partition(":")[0] in SOURCES


def generator_of(source: str) -> nn.Module:
    """source: ``sam:NAME`` or ``segmenter:NAME``, a model of transformers on the Hugging Face hub or in a folder; or
    ``superpixels``.

    Raises MaskAdapterError, one line.
    """
    if source == SUPERPIXELS:
        return Superpixels()
    kind, _, name = source.partition(":")
    if not is_source(source) or not name:
        needed = ", ".join(f"{one}:NAME" for one in SOURCES)
        raise MaskAdapterError(
            f"no source of masks '{source}': {needed} or {SUPERPIXELS} is needed; classify takes masks from files"
        )
    return SOURCES[kind](name)
