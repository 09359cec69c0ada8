"""What a GPU computes is what the processor does. Skipped where PyTorch finds no CUDA device."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from many import make_images
from small_segmenter import CLASSES, small

import maskadapter as ma
from maskadapter.models import keep_in
from maskadapter.models.preprocess import InputSize

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(autouse=True)
def exact():
    """PyTorch rounds the inputs of convolutions to TF32 by default."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@pytest.fixture
def images() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in [(70, 110), (35, 55), (110, 70)]]


@pytest.mark.parametrize("model", [small, lambda: small("pooling"), lambda: small(maft=True)])
@pytest.mark.parametrize("prune", [False, True])
def test_small_networks(model, prune, images) -> None:
    cpu, gpu = model(), model().to("cuda")
    for each in (cpu, gpu):
        each.inference = replace(each.inference, prune_proposals=prune)
    for image, encoded in zip(images, gpu.encode_images(images), strict=True):
        expected = cpu.segment(image, CLASSES)
        for found in (gpu.segment(image, CLASSES), gpu.segment(encoded, CLASSES)):
            torch.testing.assert_close(found.probs.cpu(), expected.probs, atol=1e-4, rtol=1e-3)
            assert (found.semantic() == expected.semantic()).mean() > 0.999
            assert (found.panoptic().ids == expected.panoptic().ids).mean() > 0.999


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bits(precision, images) -> None:
    gpu, half = small().to("cuda"), keep_in(small(), precision).to("cuda")
    expected, found = (model.encode_image(images[0]).mask_embeddings for model in (gpu, half))
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, expected, dim=-1).min() > 0.99


def test_the_embedded_model(photo) -> None:
    words = ["cat", "wall", "floor"]
    expected = ma.load().segment(photo, words)
    for options in ({}, {"precision": "bf16"}, {"prune_proposals": True, "pooler": "adapter"}):
        found = ma.load(device="cuda", **options).segment(photo, words)
        assert (found.semantic() == expected.semantic()).mean() > (0.999 if not options else 0.9)
    masks = expected.panoptic().masks
    given = ma.load(device="cuda").classify(photo, masks, words)
    assert [one.label for one in given] == [one.label for one in ma.load().classify(photo, masks, words)]


def test_a_folder_in_batches(tmp_path) -> None:
    folder = make_images(tmp_path / "photos", [f"{number}.png" for number in range(10)])
    model = small().to("cuda")
    assert model.images_together > 1
    report = ma.segment_images(model, folder, CLASSES, tmp_path / "out")
    assert (report.done, report.failed) == (10, ())


@pytest.fixture
def photo() -> np.ndarray:
    from skimage import data

    return data.chelsea()


def test_several_lists_on_one_image(photo) -> None:
    model = ma.load(device="cuda")
    model.inference = replace(model.inference, input_size=InputSize(384, 384))
    encoded = model.encode_image(photo)
    for words in (["cat"], ["cat", "dog", "wall"]):
        assert (model.segment(encoded, words).semantic() == model.segment(photo, words).semantic()).all()
