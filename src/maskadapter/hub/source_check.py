"""Mistakes in the choice of a model, found before PyTorch is imported."""

from pathlib import Path

from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub.hub_repository import HubRepository
from maskadapter.hub.model_source import DEFAULT, ModelSource, clip_parts, is_bare, is_on_hub
from maskadapter.hub.zoo import Weights, not_here, present, weights_of
from maskadapter.models import MODEL_NAMES
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.offline import is_offline
from maskadapter.system.paths import check_folder, user_path


def check_source(source: ModelSource, may_download: bool = True) -> None:
    """Raise what ``load`` would raise for a source as far as its names and paths show it: CheckpointError, one line,
    for an unknown model, a file that does not exist or is none of weights, weights that may not be downloaded."""
    name = str(source.name)
    if source.architecture not in (None, *MODEL_NAMES):
        hint = did_you_mean(str(source.architecture), MODEL_NAMES)
        raise CheckpointError(f"unknown model '{source.architecture}': {hint}")
    if is_bare(name):
        clip_parts(name)
    elif is_on_hub(name):
        repository = HubRepository.of(name)
        if is_offline() or not may_download:
            repository.fetch(may_download=False)
    elif name in MODEL_NAMES:
        weights = published_weights(source)
        if weights and present(weights) is None and (is_offline() or not may_download):
            raise not_here(weights)
    elif not Path(name).suffix and not user_path(name, CheckpointError).exists():
        raise CheckpointError(f"unknown model '{name}': {did_you_mean(name, MODEL_NAMES)}; or give the path of a file")
    else:
        _check_file(source.name)
    if source.adapter is not None and str(source.adapter) != DEFAULT:
        _check_file(source.adapter)


def check_destination(destination: str | Path, overwrite: bool) -> Path:
    """Return the path that ``convert`` writes to. Raises MaskAdapterError for another format and a file that exists."""
    path = user_path(destination, MaskAdapterError)
    if path.suffix != ".safetensors":
        raise MaskAdapterError(f"{path} does not end in .safetensors, the format that is written")
    if path.exists() and not overwrite:
        raise MaskAdapterError(f"{path} exists already: give another name, or overwrite it (--overwrite)")
    check_folder(path.parent)
    return path


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
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix != ".safetensors" and not start.startswith((b"PK", b"\x80")):  # a zip archive, or a bare pickle
        raise CheckpointError(f"{path} is not a file of weights (.pth, .safetensors): give another file")
