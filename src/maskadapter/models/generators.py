"""Where masks come from, by name: ``sam:facebook/sam-vit-huge``, ``segmenter:facebook/mask2former-...``."""

from collections.abc import Callable, Mapping

from torch import nn

from maskadapter.errors import MaskAdapterError
from maskadapter.models.segment_anything import SegmentAnything
from maskadapter.models.universal_segmenter import UniversalSegmenter

SOURCES: Mapping[str, Callable[[str], nn.Module]] = {
    "sam": SegmentAnything.from_pretrained,
    "segmenter": UniversalSegmenter.from_pretrained,
}


def is_source(text: str) -> bool:
    """Whether a text names a source, and no file or folder."""
    return text.partition(":")[0] in SOURCES


def generator_of(source: str) -> nn.Module:
    """source: ``sam:NAME`` or ``segmenter:NAME``, a model of transformers on the Hugging Face hub or in a folder.

    Raises MaskAdapterError, one line.
    """
    kind, _, name = source.partition(":")
    if not is_source(source) or not name:
        needed = " or ".join(f"{one}:NAME" for one in SOURCES)
        raise MaskAdapterError(f"no source of masks '{source}': {needed} is needed; classify takes masks from files")
    return SOURCES[kind](name)
