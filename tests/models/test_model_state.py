"""A model inside of other people's programs: training modes, number types, defaults of PyTorch, autocast."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_segmenter import CLASSES, small

from maskadapter.errors import MaskAdapterError
from maskadapter.models.builder import Architecture, build
from maskadapter.models.clip.text_cache import TextCache
from maskadapter.models.names import PoolerName
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def built() -> OpenVocabularySegmenter:
    """The embedded model's parts with random weights, for small images; its image encoder has batch normalization."""
    torch.manual_seed(0)
    return embedded("adapter", 128)


@pytest.fixture
def tiny(built: OpenVocabularySegmenter) -> OpenVocabularySegmenter:
    return copy.deepcopy(built)


@pytest.mark.parametrize("wrapped", [lambda model: model, lambda model: model.clip])
def test_a_frozen_model_stays_as_it_is_in_a_training_loop(tiny, image, wrapped) -> None:
    before, right = copy.deepcopy(tiny.state_dict()), tiny.segment(image, CLASSES).semantic()
    student = torch.nn.Sequential(torch.nn.Module(), torch.nn.Dropout())
    student[0].teacher = wrapped(tiny)
    student.train()
    assert student.training
    assert student[1].training
    for pixels in (image, image[:, ::-1].copy()):
        tiny.segment(pixels, CLASSES)
    assert (tiny.segment(image, CLASSES).semantic() == right).all()
    student.eval()
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())


def test_a_loop_over_all_modules_does_not_ruin_it(tiny, image) -> None:
    before, right = copy.deepcopy(tiny.state_dict()), tiny.segment(image, CLASSES).semantic()
    for module in tiny.modules():
        module.training = True
    assert (tiny.segment(image, CLASSES).semantic() == right).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())


def test_only_what_is_trained_is_in_training_mode(tiny) -> None:
    tiny.pooler.requires_grad_(True)
    tiny.train()
    assert tiny.pooler.adapter.training
    assert not any(module.training for module in tiny.clip.modules())
    last = tiny.clip.model.visual.trunk.conv_head
    last.weight.requires_grad_(True)
    tiny.train()
    assert last.training
    assert not any(m.training for m in tiny.clip.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert not any(module.training for module in tiny.eval().modules())


@pytest.mark.parametrize("kind", ["half", "bfloat16", "double"])
@pytest.mark.parametrize("call", ["segment", "encode_text", "classify"])
def test_another_number_type_is_refused_in_one_line(tiny, image, kind, call) -> None:
    student = torch.nn.Module()
    student.teacher = tiny
    getattr(student, kind)()
    calls = {
        "segment": lambda: tiny.segment(image, CLASSES),
        "encode_text": lambda: tiny.encode_text(CLASSES),
        "classify": lambda: tiny.classify(image, np.ones((1, 70, 110), bool), CLASSES),
    }
    with pytest.raises(MaskAdapterError, match=r"torch\.\w+: load it again, with precision=") as refused:
        calls[call]()
    assert "\n" not in str(refused.value)
    student.float()
    calls[call]()


@contextmanager
def default(value: torch.dtype | str) -> Iterator[None]:
    """Sets what tensors of a program are made as; ``meta`` stands for a GPU: its tensors do not mix with others."""
    try:
        torch.set_default_device(value) if isinstance(value, str) else torch.set_default_dtype(value)
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("value", [torch.float64, torch.float16, "meta"])
@pytest.mark.parametrize("name", ["tiny", "maft", "cropping"])
def test_defaults_of_a_program_change_nothing(built, image, name, value) -> None:
    models = {"tiny": lambda: built, "maft": lambda: small(maft=True), "cropping": lambda: embedded("cropping", 64)}
    model = models[name]()
    masks = np.arange(3 * 70 * 110).reshape(3, 70, 110) % 7 < 3
    classes = model.encode_text(CLASSES)

    def results() -> list[np.ndarray]:
        probs = model.classify(image, masks, classes).probs
        if name == "cropping":  # of all proposals it would take a minute
            return [probs]
        result, given = model.segment(image, classes, background=None), model.segment(image, classes, None, None, masks)
        found = [result.semantic(), result.panoptic().ids, result.instances().scores, given.semantic()]
        return [*found, probs, model.activation_maps(image, masks[:1]).weights]

    right = results()
    with default(value):
        found = results()
    for ours, expected in zip(found, right, strict=True):
        np.testing.assert_array_equal(ours, expected)


def embedded(pooler: PoolerName, side: int) -> OpenVocabularySegmenter:
    made = build(Architecture("tiny", pooler)).eval().requires_grad_(False)
    made.inference = replace(made.inference, input_size=InputSize(side, side))
    return made


def test_text_embeddings_that_are_kept_are_exact_under_autocast(tiny) -> None:
    exact = TextCache(None, tiny.clip).text_embeddings(["cat", "wall"])
    with torch.autocast("cpu", torch.bfloat16):
        cached = TextCache(None, tiny.clip).text_embeddings(["cat", "wall"])
    assert torch.equal(exact, cached)
