"""A segmenter's file joined with the adapter of a warm-up file."""

import json
from dataclasses import replace

import torch

from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare
from maskadapter.hub.checkpoints.metadata import Settings, as_settings, read_settings
from maskadapter.models import MODELS, Architecture, published

_ADAPTER = "pooler.adapter."
_SHARED = ("clip.", "text_transfer.")


def join(segmenter: Checkpoint, warmup: Checkpoint) -> Checkpoint:
    """Return a segmenter's tensors with the adapter of a warm-up file.

    The mask generator and the void embedding come from the segmenter, the adapter from the warm-up file. CLIP and
    MAFT+'s text transfer have to be equal in both: an adapter serves only the CLIP that it was trained on. A file that
    holds an adapter and nothing else has to state that it belongs to the same model.
    Source: official tools/weight_fuse_*.py, which take CLIP from the warm-up file unchecked.
    Raises CheckpointError, one line.
    """
    if not warmup.has(_ADAPTER):
        raise CheckpointError(f"{warmup.source} holds no adapter: give the warm-up file of a Mask-Adapter")
    if not segmenter.has("generator."):
        raise CheckpointError(f"{segmenter.source} holds no mask generator: give a segmenter's file and the adapter's")
    if warmup.has("clip.") or warmup.model is None or warmup.model != segmenter.model:
        refuse_another_clip(segmenter, warmup)
    adapter = {key: tensor for key, tensor in warmup.tensors.items() if key.startswith(_ADAPTER)}
    kept = {key: tensor for key, tensor in segmenter.tensors.items() if not key.startswith(_ADAPTER)}
    metadata = {**segmenter.metadata, "settings": json.dumps(_joined_settings(segmenter, warmup))}
    return replace(segmenter, tensors={**kept, **adapter}, metadata=metadata)


def refuse_another_clip(segmenter: Checkpoint, warmup: Checkpoint) -> None:
    """Raise CheckpointError unless CLIP and MAFT+'s text transfer are the same in both files."""
    shared = [key for key in warmup.tensors if key.startswith(_SHARED)]
    differences = compare(
        {key: tuple(warmup.tensors[key].shape) for key in shared},
        {key: shape for key, shape in segmenter.shapes.items() if key.startswith(_SHARED)},
    )
    if differences:
        raise CheckpointError(f"{segmenter.source} and {warmup.source} are not of one model: {differences}")
    for key in shared:
        # Files may hold half precision, rounded.
        if not torch.equal(segmenter.tensors[key].float(), warmup.tensors[key].float()):
            raise CheckpointError(
                f"{segmenter.source} and {warmup.source} hold different values of {key}: "
                "the adapter was trained on another CLIP; use the segmenter that it was trained for"
            )


def _joined_settings(segmenter: Checkpoint, warmup: Checkpoint) -> Settings:
    """The segmenter's own settings and the adapter's.

    A warm-up ran without a mask generator, so how to segment is not taken from it. Nor are settings that the segmenter
    was published with for mask pooling: a model with an adapter has others.
    """
    own = read_settings(segmenter)
    own.pop("adapter", None)
    if segmenter.model in MODELS:
        for_pooling = as_settings(published(Architecture(str(segmenter.model), "pooling")))
        own = {part: values for part, values in own.items() if not values.items() <= for_pooling[part].items()}
    adapter = read_settings(warmup).get("adapter")
    return own if adapter is None else {**own, "adapter": adapter}
