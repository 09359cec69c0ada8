"""A model built for the tensors of a file, and filled with them."""

import torch

from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare, shapes_of
from maskadapter.hub.checkpoints.key_names import to_official
from maskadapter.hub.checkpoints.metadata import config_of
from maskadapter.models import Architecture, OpenVocabularySegmenter, build
from maskadapter.models.clip import TextCache
from maskadapter.system.cache_folder import cache_folder
from maskadapter.system.error_text import first_line


def assemble(
    checkpoint: Checkpoint, architecture: Architecture, device: str | torch.device = "cpu"
) -> OpenVocabularySegmenter:
    """Return a model with the tensors and settings of a file, ready to use.

    Raises CheckpointError, one line: tensors that are missing, left over, of another shape or type; damaged settings.
    """
    config = config_of(checkpoint, architecture)
    with torch.device("meta"):  # no time is spent on random values that the file replaces
        segmenter = build(architecture, config)
    if differences := compare(shapes_of(segmenter.state_dict()), checkpoint.shapes):
        described = differences.renamed(to_official) if checkpoint.official else differences
        raise CheckpointError(
            f"{checkpoint.source} does not fit {architecture}: {described}; if it holds another model, say so by "
            "architecture=NAME"
        )
    # Files may hold half precision; the models are float32.
    tensors = {key: t.float() if t.is_floating_point() else t for key, t in checkpoint.tensors.items()}
    try:
        segmenter.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint.source} holds tensors of the wrong type ({first_line(error)})") from error
    segmenter.clip.restore_causal_mask()
    return ready(segmenter, device)


def ready(segmenter: OpenVocabularySegmenter, device: str | torch.device) -> OpenVocabularySegmenter:
    """Freeze a model, move it to its device, and let it remember text embeddings."""
    segmenter = segmenter.requires_grad_(False).eval().to(device)
    try:
        folder = cache_folder() / "text-embeddings"
    except MaskAdapterError:  # they are then remembered in memory alone
        folder = None
    segmenter.text_cache = TextCache(folder, segmenter.clip)
    return segmenter
