"""Which model a file of weights holds; the model built for its tensors, and filled with them."""

import torch

from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare, shapes_of
from maskadapter.hub.checkpoints.key_names import to_official
from maskadapter.hub.checkpoints.metadata import config_of
from maskadapter.hub.model_source import ModelSource
from maskadapter.models import (
    MODELS,
    Architecture,
    OpenVocabularySegmenter,
    Precision,
    PrecisionName,
    build,
    choose_precision,
    keep_in,
)
from maskadapter.models.clip import TextCache
from maskadapter.system.cache_folder import cache_folder
from maskadapter.system.error_text import did_you_mean, first_line


def identify(checkpoint: Checkpoint, source: ModelSource | None = None) -> Architecture:
    """Return which model a file holds; whether every tensor fits is left to ``assemble``.

    source: its ``architecture`` overrules the file, its ``pooler`` has to be in it. Raises CheckpointError, one line.
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
    shapes = checkpoint.shapes
    # Either shows D, the width of the space that images and text share.
    keys = ("clip.model.text_projection", "void_embedding.weight")
    width = next((shapes[key][-1] for key in keys if shapes.get(key)), None)
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


def assemble(
    checkpoint: Checkpoint,
    architecture: Architecture,
    device: str | torch.device = "cpu",
    precision: PrecisionName = "fp32",
) -> OpenVocabularySegmenter:
    """Return a model with the tensors and settings of a file, ready to use. Raises as ``filled``, and MaskAdapterError
    as ``choose_precision``."""
    kept = choose_precision(precision, architecture.name, device)
    return ready(filled(checkpoint, architecture), device, kept)


def filled(checkpoint: Checkpoint, architecture: Architecture) -> OpenVocabularySegmenter:
    """Return a float32 model on the CPU with the tensors and settings of a file; of a ``.pth`` file both have the same
    memory.

    Raises CheckpointError, one line: tensors that are missing, left over, of another shape or type; damaged settings.
    """
    config = config_of(checkpoint, architecture)
    with torch.device("meta"):  # no time is spent on random values that the file replaces
        segmenter = build(architecture, config)
    name = to_official if checkpoint.official else str  # errors use the names in the file
    both = (shapes_of(segmenter.state_dict()), checkpoint.shapes)
    if differences := compare(*({name(key): shape for key, shape in shapes.items()} for shapes in both)):
        raise CheckpointError(
            f"{checkpoint.source} does not fit {architecture}: {differences}; if it holds another model, say so by "
            "architecture=NAME"
        )
    try:
        segmenter.load_state_dict(checkpoint.float_tensors(), strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint.source} holds tensors of the wrong type ({first_line(error)})") from error
    segmenter.clip.restore_causal_mask()
    return segmenter


def ready(
    segmenter: OpenVocabularySegmenter, device: str | torch.device, precision: Precision
) -> OpenVocabularySegmenter:
    """Freeze a model, move it to its device in a precision, and let it remember text embeddings."""
    segmenter = keep_in(segmenter.requires_grad_(False).eval(), precision).to(device)
    try:
        folder = cache_folder() / "text-embeddings"
    except MaskAdapterError:  # they are then remembered in memory alone
        folder = None
    segmenter.text_cache = TextCache(folder, segmenter.clip)
    return segmenter
