"""A segmenter's file joined with the adapter of a warm-up file."""

import json
from dataclasses import replace

import torch

from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare
from maskadapter.hub.checkpoints.metadata import as_settings, read_settings
from maskadapter.models import MODELS, Architecture, published

_ADAPTER = "pooler.adapter."
_SHARED = ("clip.", "text_transfer.")


def join(segmenter: Checkpoint, warmup: Checkpoint) -> Checkpoint:
    """Return a segmenter's tensors with the adapter of a warm-up file.

    CLIP and MAFT+'s text transfer have to be equal in both: an adapter serves only the CLIP that it was trained on. A
    file that holds an adapter and nothing else has to state that it belongs to the same model. Raises CheckpointError.
    Source: official tools/weight_fuse_*.py, which take CLIP from the warm-up file unchecked.
    """
    if not warmup.has(_ADAPTER):
        raise CheckpointError(f"{warmup.source} holds no adapter: give the warm-up file of a Mask-Adapter")
    if not segmenter.has("generator."):
        raise CheckpointError(f"{segmenter.source} holds no mask generator: give a segmenter's file and the adapter's")
    if warmup.has("clip.") or warmup.model is None or warmup.model != segmenter.model:
        refuse_another_clip(segmenter, warmup)
    tensors = {key: tensor for key, tensor in segmenter.tensors.items() if not key.startswith(_ADAPTER)}
    tensors |= {key: tensor for key, tensor in warmup.tensors.items() if key.startswith(_ADAPTER)}
    # How to segment comes from the segmenter, without what was published for mask pooling: a warm-up has no say in it.
    settings = {part: values for part, values in read_settings(segmenter).items() if part != "adapter"}
    if segmenter.model in MODELS:
        pooling = as_settings(published(Architecture(str(segmenter.model), "pooling")))
        settings = {part: values for part, values in settings.items() if not values.items() <= pooling[part].items()}
    settings |= {part: values for part, values in read_settings(warmup).items() if part == "adapter"}
    metadata = {**segmenter.metadata, "settings": json.dumps(settings)}
    return replace(segmenter, tensors=tensors, metadata=metadata)


def refuse_another_clip(segmenter: Checkpoint, warmup: Checkpoint) -> None:
    """Raise CheckpointError unless CLIP and MAFT+'s text transfer are the same in both files."""
    needed, found = (
        {key: shape for key, shape in one.shapes.items() if key.startswith(_SHARED)} for one in (warmup, segmenter)
    )
    if differences := compare(needed, found):
        raise CheckpointError(f"{segmenter.source} and {warmup.source} are not of one model: {differences}")
    for key in needed:  # files may hold half precision, rounded
        if not torch.equal(segmenter.tensors[key].float(), warmup.tensors[key].float()):
            raise CheckpointError(
                f"{segmenter.source} and {warmup.source} hold different values of {key}: "
                "the adapter was trained on another CLIP; use the segmenter that it was trained for"
            )
