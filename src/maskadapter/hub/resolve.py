"""The file that holds a model's weights: in the package, in the cache, at its publisher, or at a given path."""

from pathlib import Path

from maskadapter.errors import CheckpointError
from maskadapter.hub.model_source import DEFAULT, ModelSource
from maskadapter.hub.zoo.model_zoo import weights_of
from maskadapter.hub.zoo.published_files import fetch, not_here
from maskadapter.hub.zoo.weight_downloads import present
from maskadapter.models import MODELS
from maskadapter.system.error_text import did_you_mean

_EMBEDDED = Path(__file__).with_name("weights")


def resolve(source: ModelSource, may_download: bool = True) -> Path:
    """Return the path of a model's weights, and download them first if they are not on this machine.

    Of a named model this is the file with the adapter, or the segmenter's own file where the source asks for another
    pooler or brings its own adapter. may_download: False refuses to use the network.
    Raises CheckpointError, one line, for an unknown name and for weights that are not here, and DownloadError.
    """
    name = str(source.name)
    if name == DEFAULT:
        return _EMBEDDED / f"{DEFAULT}.safetensors"
    if name in MODELS:
        # Cropping has no weights of its own.
        own = source.adapter is not None or source.pooler in ("pooling", "cropping")
        weights = weights_of(name, "pooling" if own else "adapter")
        found = present(weights)
        if found is None and not may_download:
            raise not_here(weights)
        return found or fetch(weights)
    if not Path(name).suffix and not Path(name).exists():
        raise CheckpointError(f"unknown model '{name}': {did_you_mean(name, MODELS)}; or give the path of a file")
    return Path(name)


def resolve_adapter(source: ModelSource) -> Path | None:
    """Return the path of the file whose adapter is joined to the model's weights; None when there is none."""
    if source.adapter is None and str(source.name) == DEFAULT and source.pooler == "adapter":
        return _EMBEDDED / f"{DEFAULT}-adapter.safetensors"
    return None if source.adapter is None else Path(source.adapter)
