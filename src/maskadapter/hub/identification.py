"""Which model a file of weights holds, by its metadata or by a few tell-tale keys and shapes."""

from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint
from maskadapter.hub.model_source import ModelSource
from maskadapter.models import MODELS, Architecture
from maskadapter.system.error_text import did_you_mean

# Either shows D, the width of the space that images and text share.
_WIDTH = ("clip.model.text_projection", "void_embedding.weight")


def identify(checkpoint: Checkpoint, source: ModelSource | None = None) -> Architecture:
    """Return which model a file holds; whether every tensor fits is left to ``assemble``.

    source: its ``architecture`` overrules the file, its ``pooler`` has to be in the file. Raises CheckpointError, one
    line: an unknown model, no sign of a known one, another pooler.
    """
    source = source or ModelSource()
    name = source.architecture or checkpoint.model or _by_shapes(checkpoint)
    if name not in MODELS:
        if source.architecture is None:
            raise CheckpointError(f"{checkpoint.source} says it is '{name}', which this version does not know")
        raise CheckpointError(f"unknown model '{name}': {did_you_mean(name, MODELS)}")
    if not checkpoint.has("pooler.adapter."):
        if source.pooler == "adapter":
            raise CheckpointError(
                f"{checkpoint.source} holds no adapter: add adapter=<warm-up file>, or use pooler='pooling'"
            )
        return Architecture(name, source.pooler or "pooling")  # neither pooling nor cropping has weights of its own
    if source.pooler not in (None, "adapter"):
        raise CheckpointError(
            f"{checkpoint.source} holds an adapter, and pooler='{source.pooler}' would leave it out: give the "
            "segmenter's own file"
        )
    return Architecture(name, "adapter", checkpoint.has("generator."))


def _by_shapes(checkpoint: Checkpoint) -> str:
    """The name of the model that a file without metadata, such as an official one, holds."""
    shapes = checkpoint.shapes
    width = next((shapes[key][-1] for key in _WIDTH if shapes.get(key)), None)
    if width == 384:
        return "tiny-mask2former" if checkpoint.has("generator.mask_decoder.") else "tiny"
    if width == 640:
        return "maftplus-base"
    if width == 768:
        return "maftplus-large" if checkpoint.has("text_transfer.") else "fcclip-large"
    raise CheckpointError(
        f"{checkpoint.source} fits no model: embeddings of 384, 640 or 768 numbers are needed, and it has "
        f"{width or 'none'}; if it holds one of {', '.join(MODELS)}, say so by architecture=NAME"
    )
