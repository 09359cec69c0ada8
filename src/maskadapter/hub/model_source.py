"""What a caller chooses about the weights of a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Union, get_args

from maskadapter.errors import MaskAdapterError
from maskadapter.models import PoolerName, PrecisionName
from maskadapter.system.error_text import did_you_mean

DEFAULT = "tiny"
"""The model that is part of the package."""
PREFIX = "clip:"
"""Of the names that mean a CLIP by itself."""
HUB_PREFIX = "hf:"
"""Of the names that mean a repository of the Hugging Face hub."""


@dataclass(frozen=True)
class ModelSource:
    """Which weights to load, and as what: one value, passed on whole.

    name: ``"tiny"``, the embedded model; a name of the model zoo; the path of a file; a repository of the Hugging Face
        hub (``"hf:ORG/NAME"``, ``"hf:ORG/NAME@REVISION"``); or a CLIP alone (``"clip:ViT-B-16:openai"``).
    pooler: ``"adapter"``, ``"pooling"`` or ``"cropping"``; None takes what the weights were made for.
    adapter: path of a warm-up file whose adapter is joined to the segmenter in ``name``; ``"tiny"`` is the embedded
        model's adapter.
    architecture: the named model that a file is read as, where its content does not decide.
    precision: ``"auto"``, ``"fp32"``, ``"bf16"``, ``"fp16"`` or ``"int8"``, see docs/performance.md; None leaves it to
        what takes the source: ``load`` takes auto, evaluation fp32.
    Raises MaskAdapterError for another pooler or precision.
    """

    name: str | Path = DEFAULT
    pooler: PoolerName | None = None
    adapter: str | Path | None = None
    architecture: str | None = None
    precision: PrecisionName | None = None

    def __post_init__(self) -> None:
        if self.pooler not in (None, *get_args(PoolerName)):
            raise MaskAdapterError(f"no pooler '{self.pooler}': {did_you_mean(str(self.pooler), get_args(PoolerName))}")
        if self.precision not in (None, *get_args(PrecisionName)):
            hint = did_you_mean(str(self.precision), get_args(PrecisionName))
            raise MaskAdapterError(f"no precision '{self.precision}': {hint}")

    @classmethod
    def of(cls, source: Union["ModelSource", str, Path, None]) -> "ModelSource":
        """Return a ModelSource as it is, and one of a name or a path; None is the embedded model."""
        return source if isinstance(source, ModelSource) else cls(DEFAULT if source is None else source)


def is_bare(model: str | Path) -> bool:
    """Whether a model's name means a CLIP by itself."""
    return str(model).startswith(PREFIX)


def is_on_hub(model: str | Path) -> bool:
    """Whether a model's name means a repository of the Hugging Face hub."""
    return str(model).startswith(HUB_PREFIX)


def clip_parts(model: str) -> tuple[str, str | None]:
    """Split the name of a CLIP into open_clip's name and its weights. Raises MaskAdapterError for another form."""
    rest = model.removeprefix(PREFIX)
    if rest.startswith(("hf-hub:", "local-dir:")):
        return rest, None
    name, _, weights = rest.partition(":")
    if not name or not weights:
        raise MaskAdapterError(
            f"'{model}' is not the name of a CLIP: clip:NAME:WEIGHTS is needed, such as clip:ViT-B-16:openai, with "
            "open_clip's name and tag or a file"
        )
    return name, weights
