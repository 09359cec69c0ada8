"""Mistakes in the choice of a model, found before PyTorch is imported."""

from pathlib import Path

from maskadapter.errors import CheckpointError
from maskadapter.hub.model_source import DEFAULT, ModelSource, clip_parts, is_bare
from maskadapter.hub.zoo import Weights, not_here, present, weights_of
from maskadapter.models import MODEL_NAMES
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.offline import is_offline
from maskadapter.system.paths import user_path


def check_source(source: ModelSource, may_download: bool = True) -> None:
    """Raise what ``load`` would raise for a source as far as its names and paths show it: CheckpointError, one line,
    for an unknown model, a file that does not exist or is none of weights, weights that may not be downloaded."""
    name = str(source.name)
    if source.architecture not in (None, *MODEL_NAMES):
        hint = did_you_mean(str(source.architecture), MODEL_NAMES)
        raise CheckpointError(f"unknown model '{source.architecture}': {hint}")
    if is_bare(name):
        clip_parts(name)
    elif name in MODEL_NAMES:
        weights = published_weights(source)
        if weights and present(weights) is None and (is_offline() or not may_download):
            raise not_here(weights)
    elif not Path(name).suffix and not user_path(name, CheckpointError).exists():
        raise CheckpointError(f"unknown model '{name}': {did_you_mean(name, MODEL_NAMES)}; or give the path of a file")
    else:
        _check_file(source.name)
    if source.adapter is not None:
        _check_file(source.adapter)


def published_weights(source: ModelSource) -> Weights | None:
    """Return the published file of a named model; None for the embedded one. That with the adapter, or the segmenter's
    own where the source has another pooler or brings an adapter."""
    if str(source.name) == DEFAULT:
        return None
    own = source.adapter is not None or source.pooler in ("pooling", "cropping")  # cropping has no weights
    return weights_of(str(source.name), "pooling" if own else "adapter")


def _check_file(given: str | Path) -> None:
    path = user_path(given, CheckpointError)
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}: give the path of a .pth or .safetensors file")
