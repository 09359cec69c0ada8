"""What a caller chooses about the weights of a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:  # the command line makes one without waiting for PyTorch
    from maskadapter.models import PoolerName

DEFAULT = "tiny"
"""The model that is part of the package."""


@dataclass(frozen=True)
class ModelSource:
    """Which weights to load, and as what: one value, passed on whole.

    name: ``"tiny"``, the embedded model; a name of the model zoo; the path of a file; or a CLIP alone
        (``"clip:ViT-B-16:openai"``).
    pooler: ``"adapter"``, ``"pooling"`` or ``"cropping"``; None takes what the weights were made for.
    adapter: path of a warm-up file whose adapter is joined to the segmenter in ``name``.
    architecture: the named model that a file is read as, where its content does not decide.
    """

    name: str | Path = DEFAULT
    pooler: "PoolerName | None" = None
    adapter: str | Path | None = None
    architecture: str | None = None

    @classmethod
    def of(cls, source: Union["ModelSource", str, Path, None]) -> "ModelSource":
        """Return a ModelSource as it is, and one of a name or a path; None is the embedded model."""
        return source if isinstance(source, ModelSource) else cls(DEFAULT if source is None else source)
