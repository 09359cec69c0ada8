"""Whether an adapter's file and a segmenter's are of one CLIP, and which image encoder a file was made with."""

from collections.abc import Mapping

import torch
from torch import Tensor

from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare
from maskadapter.models import TINY_NAMES
from maskadapter.models.clip import fingerprint

IMAGE_ENCODER = "image_encoder"
"""The entry of a file's metadata, or of a training checkpoint, that holds ``image_encoder_hash``."""

# MobileNetV2's last convolution in the embedded model of versions 0.1 and 0.2; EfficientNet-Lite2's has 352 inputs.
_FIRST_FORM = ("clip.model.visual.trunk.conv_head.weight", (1280, 320, 1, 1))


def image_encoder_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of CLIP's image encoder in float32, to the last bit. tensors: of a segmenter, by its keys."""
    keys = sorted(key for key in tensors if key.startswith("clip.model.visual."))
    return fingerprint({key: tensors[key].float() for key in keys})


def refuse_first_form(what: object, tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError for tensors with the image encoder that the embedded model had up to version 0.2."""
    key, shape = _FIRST_FORM
    if key in tensors and tensors[key].shape == shape:
        raise first_form(what)


def first_form(what: object) -> CheckpointError:
    """Return the error for what was made with the embedded model of version 0.2. what: a file or a folder."""
    return CheckpointError(
        f"{what} belongs to the embedded model of version 0.2, which had another image encoder: train it again from "
        "tiny, or use it with maskadapter 0.2"
    )


def refuse_another_clip(segmenter: Checkpoint, warmup: Checkpoint) -> None:
    """Raise CheckpointError unless CLIP and MAFT+'s text transfer are the same in both files.

    A file with nothing but an adapter has to state the same model, and, for the embedded one, its image encoder."""
    refuse_first_form(warmup.source, warmup.tensors)
    if not warmup.has("clip.") and warmup.model is not None and warmup.model == segmenter.model:
        stated = warmup.metadata.get(IMAGE_ENCODER)
        if stated is None and warmup.model in TINY_NAMES:
            raise first_form(warmup.source)
        if stated not in (None, image_encoder_hash(segmenter.tensors)):
            raise _other_clip(segmenter, warmup, "image encoders")
        return
    shared = ("clip.", "text_transfer.")
    needed, found = ({k: s for k, s in one.shapes.items() if k.startswith(shared)} for one in (warmup, segmenter))
    if differences := compare(needed, found):
        raise CheckpointError(f"{segmenter.source} and {warmup.source} are not of one model: {differences}")
    for key in needed:  # files may hold half precision, rounded
        if not torch.equal(segmenter.tensors[key].float(), warmup.tensors[key].float()):
            raise _other_clip(segmenter, warmup, f"values of {key}")


def _other_clip(segmenter: Checkpoint, warmup: Checkpoint, what: str) -> CheckpointError:
    return CheckpointError(
        f"{segmenter.source} and {warmup.source} hold different {what}: the adapter was trained on another CLIP; "
        "use the segmenter that it was trained for"
    )
