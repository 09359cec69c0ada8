"""``maskadapter.hub.same_clip``: adapters are used with their own CLIP, and files of version 0.2 say what they are."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from official_files import needed
from torch import Tensor

import maskadapter
from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from maskadapter.hub.checkpoints.stored_tensors import Tensors
from maskadapter.hub.loading import join
from maskadapter.hub.same_clip import IMAGE_ENCODER, image_encoder_hash, refuse_another_clip
from maskadapter.models.builder import Architecture

FIRST_FORM = {  # of the embedded file of version 0.2
    "clip.model.visual.trunk.conv_head.weight": (1280, 320, 1, 1),
    "clip.model.visual.head.mlp.fc1.weight": (768, 1280),
    "clip.model.text_projection": (192, 384),
    "void_embedding.weight": (1, 384),
}
ADAPTER = "pooler.adapter."


def zeros(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {key: torch.zeros(shape) for key, shape in shapes.items()}


def one_line(error: pytest.ExceptionInfo, path: Path) -> bool:
    text = str(error.value)
    return text.startswith(f"{path} belongs to the embedded model of version 0.2") and len(text.splitlines()) == 1


@pytest.fixture(scope="module")
def segmenter() -> Checkpoint:
    """A file of today's embedded model; its values are one number each."""
    tensors = {key: torch.ones(()).expand(shape) for key, shape in needed(Architecture("tiny", "pooling")).items()}
    return Checkpoint(Path("tiny.safetensors"), Tensors(tensors), official=False, metadata={"name": "tiny"})


@pytest.fixture(scope="module")
def adapter() -> dict[str, Tensor]:
    shapes = needed(Architecture("tiny", "adapter", generator=False))
    return zeros({key: shape for key, shape in shapes.items() if key.startswith(ADAPTER)})


def test_a_model_of_version_0_2_gives_one_line(tmp_path: Path) -> None:
    path = tmp_path / "my-old-tiny.safetensors"
    write_checkpoint(path, zeros(FIRST_FORM), {"model": "tiny"})
    for load in (maskadapter.load, lambda file: maskadapter.convert(file, tmp_path / "new.safetensors")):
        with pytest.raises(CheckpointError) as error:
            load(path)
        assert one_line(error, path)
        assert "train it again from tiny" in str(error.value)


def test_an_adapter_of_version_0_2_gives_one_line(
    tmp_path: Path, segmenter: Checkpoint, adapter: dict[str, Tensor]
) -> None:
    path = tmp_path / "old-tiny-adapter.safetensors"
    for tensors in (adapter | zeros(FIRST_FORM), adapter):  # as training writes it, and as the package shipped it
        write_checkpoint(path, tensors, {"model": "tiny"})
        with pytest.raises(CheckpointError) as error:
            join(segmenter, read_checkpoint(path))
        assert one_line(error, path)


def test_an_adapter_by_itself_is_used_with_the_image_encoder_that_it_states(
    tmp_path: Path, segmenter: Checkpoint, adapter: dict[str, Tensor]
) -> None:
    facts = {"model": "tiny", IMAGE_ENCODER: image_encoder_hash(segmenter.tensors)}
    write_checkpoint(tmp_path / "adapter.safetensors", adapter, facts)
    warmup = read_checkpoint(tmp_path / "adapter.safetensors")
    assert join(segmenter, warmup).tensors.keys() == segmenter.tensors.keys() | adapter.keys()
    key = "clip.model.visual.trunk.conv_head.weight"
    other = replace(segmenter, tensors={**segmenter.tensors, key: segmenter.tensors[key] * 2})
    with pytest.raises(CheckpointError, match="different image encoders: the adapter was trained on another CLIP"):
        refuse_another_clip(other, warmup)


def test_the_hash_does_not_depend_on_the_order_and_the_precision_of_a_file(segmenter: Checkpoint) -> None:
    tensors = dict(reversed([(key, tensor.half()) for key, tensor in segmenter.tensors.items()]))
    assert image_encoder_hash(tensors) == image_encoder_hash(segmenter.tensors)
    tensors["clip.model.visual.head.mlp.fc2.weight"] = torch.zeros(384, 768)
    assert image_encoder_hash(tensors) != image_encoder_hash(segmenter.tensors)
