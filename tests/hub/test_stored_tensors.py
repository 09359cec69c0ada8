"""Weights are read into memory of their own, one tensor after another."""

import weakref
from pathlib import Path

import pytest
import torch

from maskadapter.errors import CheckpointError
from maskadapter.hub import loading
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from maskadapter.hub.checkpoints.stored_tensors import StoredTensor
from maskadapter.models import Architecture, OpenVocabularySegmenter, Precision

TENSORS = {
    "matrix": torch.arange(6.0).view(2, 3),
    "half": torch.arange(4).half(),
    "brain": torch.arange(4).bfloat16(),
    "whole": torch.arange(5),
    "number": torch.tensor(7.0),
    "none": torch.zeros(0, 3),
    "bits": torch.tensor([True, False]),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "some.safetensors", TENSORS, {"model": "tiny"})
    return tmp_path / "some.safetensors"


def test_every_type_and_shape_comes_back(file: Path) -> None:
    read = read_checkpoint(file).tensors
    assert read.keys() == TENSORS.keys()
    for key, tensor in TENSORS.items():
        assert read[key].dtype == tensor.dtype
        assert torch.equal(read[key], tensor)


def test_shapes_are_known_without_reading(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoredTensor, "read", None)
    checkpoint = read_checkpoint(file)
    assert checkpoint.shapes == {key: tuple(tensor.shape) for key, tensor in TENSORS.items()}
    assert checkpoint.has("mat")
    assert not checkpoint.has("other")


def test_what_was_read_does_not_follow_the_file(file: Path) -> None:
    read = dict(read_checkpoint(file).tensors)
    with file.open("r+b") as opened:
        opened.seek(0)
        opened.write(bytes(file.stat().st_size))  # a mapped file would be zero now
        opened.truncate(8)  # and a look at it would end the process
    assert all(torch.equal(read[key], tensor) for key, tensor in TENSORS.items())


def test_a_file_that_is_cut_while_it_is_read_gives_one_line(file: Path) -> None:
    checkpoint = read_checkpoint(file)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 1)
    with pytest.raises(CheckpointError, match=r"some\.safetensors was cut while it was read: load it again"):
        checkpoint.float_tensors()


def test_what_was_read_is_not_kept_beside_the_same_in_another_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    files, filled, ready = list[weakref.ref[Checkpoint]](), loading.filled, loading.ready

    def noted(checkpoint: Checkpoint, found: Architecture) -> OpenVocabularySegmenter:
        files.append(weakref.ref(checkpoint))
        return filled(checkpoint, found)

    def gone(segmenter: OpenVocabularySegmenter, device: str, kept: Precision) -> OpenVocabularySegmenter:
        assert [file() for file in files] == [None]
        return ready(segmenter, device, kept)

    monkeypatch.setattr(loading, "filled", noted)
    monkeypatch.setattr(loading, "ready", gone)
    assert isinstance(loading.load(), OpenVocabularySegmenter)
