"""Where masks come from, by name: ``sam:facebook/sam-vit-huge``, ``sam:facebook/sam-vit-huge,points=16``,
``segmenter:facebook/mask2former-...``, ``superpixels``."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import nn

from maskadapter.errors import MaskAdapterError
from maskadapter.models.proposals.superpixels.regions import Superpixels
from maskadapter.models.sources.segment_anything import PointGrid, SegmentAnything
from maskadapter.models.sources.universal_segmenter import UniversalSegmenter
from maskadapter.system.yaml_config import checked

Options = Mapping[str, str]


def _sam(name: str, options: Options) -> nn.Module:
    grid = checked(PointGrid, options, f"sam:{name}", MaskAdapterError)
    return SegmentAnything.from_pretrained(name, grid)


def _segmenter(name: str, options: Options) -> nn.Module:
    if options:
        raise MaskAdapterError(f"segmenter:{name} has no options, and {', '.join(options)} was given")
    return UniversalSegmenter.from_pretrained(name)


SOURCES: Mapping[str, Callable[[str, Options], nn.Module]] = {"sam": _sam, "segmenter": _segmenter}

SUPERPIXELS = "superpixels"
"""The source that needs no network."""


def is_source(text: str) -> bool:
    """Whether a text names a source, and no file or folder."""
    return text == SUPERPIXELS or text.partition(":")[0] in SOURCES


class Source(NamedTuple):
    """kind: of ``SOURCES``, or ``SUPERPIXELS``. name: a repository of the Hugging Face hub or a folder; "" for
    superpixels. options: what stands behind it, by name."""

    kind: str
    name: str
    options: Options


def parsed(source: str) -> Source:
    """A source's text in its parts, see ``generator_of``; nothing is loaded. Raises MaskAdapterError, one line."""
    if source == SUPERPIXELS:
        return Source(source, "", {})
    kind, _, name = source.partition(":")
    if not is_source(source) or not name:
        needed = ", ".join(f"{one}:NAME" for one in SOURCES)
        raise MaskAdapterError(
            f"no source of masks '{source}': {needed} or {SUPERPIXELS} is needed; classify takes masks from files"
        )
    name, *given = name.split(",")
    while given and "=" not in given[0]:  # a folder may have commas in its name
        name += f",{given.pop(0)}"
    pairs = [option.partition("=") for option in given]
    return Source(kind, name, {key.strip(): value.strip() for key, _, value in pairs})


def generator_of(source: str) -> nn.Module:
    """source: ``sam:NAME`` or ``segmenter:NAME``, a model of transformers on the Hugging Face hub or in a folder; or
    ``superpixels``. Behind SAM's name may stand what ``PointGrid`` takes, each after a comma: ``,points=16,rest=no``.

    Raises MaskAdapterError, one line.
    """
    kind, name, options = parsed(source)
    return Superpixels() if kind == SUPERPIXELS else SOURCES[kind](name, options)
