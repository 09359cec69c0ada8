"""Models written as safetensors, with the facts that loading needs."""

import json
from pathlib import Path

from maskadapter.errors import CheckpointError
from maskadapter.hub.assembling import assemble
from maskadapter.hub.checkpoints.checkpoint import write_checkpoint
from maskadapter.hub.checkpoints.metadata import as_settings
from maskadapter.hub.loading import identified
from maskadapter.hub.model_source import ModelSource
from maskadapter.hub.source_check import check_destination
from maskadapter.models import Architecture, ModelConfig, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler
from maskadapter.system.renamed import refuse_old_keywords


def save(segmenter: OpenVocabularySegmenter, path: str | Path, name: str, **metadata: str) -> Path:
    """Write a model as a safetensors file that ``load`` takes, and return its path. Raises CheckpointError, also for a
    model whose precision is not fp32: its weights were rounded.

    name: the named model that it is (``"tiny"``). metadata: facts of your own to keep in the file, such as a license.
    """
    if segmenter.precision != "fp32":
        problem = f"the weights of this model were rounded to {segmenter.precision}"
        raise CheckpointError(f"{problem}: to save it, load it with precision='fp32'")
    settings = as_settings(config_of_model(segmenter))
    facts = {"format": "maskadapter", "model": name, "settings": json.dumps(settings)}
    write_checkpoint(path, segmenter.state_dict(), {**metadata, **facts})
    return Path(path)


def config_of_model(segmenter: OpenVocabularySegmenter) -> ModelConfig:
    """Return the settings that a model has."""
    adapter = segmenter.pooler.adapter.config if isinstance(segmenter.pooler, AdapterPooler) else None
    return ModelConfig(segmenter.inference, segmenter.quirks, adapter)


@refuse_old_keywords
def convert(
    source: str | Path,
    destination: str | Path,
    *,
    architecture: str | None = None,
    half: bool = False,
    overwrite: bool = False,
) -> Architecture:
    """Write any file that ``load`` takes as safetensors of this project, and return which model it holds.

    source: an official ``.pth``, or the name of a model whose weights are on this machine. architecture: as ``load``
    takes it. half: store 16 bits a number, which ``load`` makes 32 again. Raises CheckpointError as ``load`` does, and
    for numbers that 16 bits cannot hold; MaskAdapterError for a destination of another format or one that exists.
    """
    destination = check_destination(destination, overwrite)
    checkpoint, found = identified(ModelSource(source, architecture=architecture), may_download=False)
    segmenter = assemble(checkpoint, found)
    if half:
        segmenter = segmenter.half()
        for key, tensor in segmenter.state_dict().items():
            if not tensor.isfinite().all():
                raise CheckpointError(f"{source}: {key} has numbers that 16 bits cannot hold; convert without --half")
    save(segmenter, destination, found.name, converted_from=checkpoint.source.name)
    return found
