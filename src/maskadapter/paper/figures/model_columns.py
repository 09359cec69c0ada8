"""The models that a figure compares, by the titles of their panels or columns; and those that the paper compares."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import ModelSource
from maskadapter.models import MODEL_NAMES, PoolerName
from maskadapter.paper.figures.page import labeled

FCCLIP = "fcclip-large"
_FCCLIP = (f"FC-CLIP={FCCLIP}:pooling", f"FC-CLIP with Mask-Adapter={FCCLIP}:adapter")
_MAFTPLUS = ("MAFT+=maftplus-large:pooling", "MAFT+ with Mask-Adapter=maftplus-large:adapter")
# Of the recipes that are one training the names are those for which reproduce asks.
FIGURE5 = (
    "without mask consistency=runs/no-consistency/model.safetensors",
    "with mask consistency=runs/fcclip-large-mixed/model.safetensors",
)
FIGURE6 = ("one map=runs/1-map/model.safetensors", "several maps=runs/fcclip-large-warmup/model.safetensors")
FIGURE9 = _FCCLIP + _MAFTPLUS
FIGURE10 = _FCCLIP
SAM = "sam:facebook/sam-vit-huge"

MOST_MODELS = 5
"""Columns of results."""
MOST_ADAPTERS = 3


def models_by_title(models: Sequence[str | Path]) -> Mapping[str, ModelSource]:
    """Return 1 to 5 models by the titles of their columns. models: ``NAME`` or ``NAME:POOLER``, ``LABEL=`` before it.

    Raises MaskAdapterError: none, too many, two with one title, an unknown pooler.
    """
    return labeled(models, _with_pooler, MOST_MODELS)


def adapters_by_title(models: Sequence[str | Path]) -> Mapping[str, ModelSource]:
    """Return models whose adapters are compared, each ``NAME`` or ``LABEL=NAME``, by their titles. Raises as above."""
    return labeled(models, lambda text: (_title(text), ModelSource(text)), MOST_ADAPTERS)


def _title(name: str) -> str:
    path = Path(name)
    run = path.parent.name if path.stem == "model" else ""  # every training calls its file so
    return name if name in MODEL_NAMES else run or path.stem


def _with_pooler(text: str) -> tuple[str, ModelSource]:
    """``"tiny:adapter"`` -> the title of its column, and which weights to load."""
    name, _, ending = text.rpartition(":")
    if name and ending in get_args(PoolerName):
        return f"{_title(name)}, {ending}", ModelSource(name, cast(PoolerName, ending))
    if name in MODEL_NAMES:
        poolers = ", ".join(get_args(PoolerName))
        raise MaskAdapterError(f"no pooler '{ending}' in '{text}': {poolers} may follow the colon")
    return _title(text), ModelSource(text)
