"""What a caller chooses about the weights of a model."""

from dataclasses import dataclass
from pathlib import Path

from maskadapter.models.build import PoolerName


@dataclass(frozen=True)
class ModelSource:
    """Which weights to load, and as what: one value, handed on whole.

    name: None for the embedded model; a name of the model zoo (``"fcclip-large"``); the path of a file; or a CLIP alone
        (``"clip:ViT-B-16:openai"``).
    pooler: ``"adapter"``, ``"pooling"`` or ``"cropping"``; None takes what the weights were made for.
    adapter: path of a warm-up file whose adapter is joined to ``name``.
    architecture: the named model that a file is read as, where its keys alone do not decide.
    """

    name: str | Path | None = None
    pooler: PoolerName | None = None
    adapter: str | Path | None = None
    architecture: str | None = None
