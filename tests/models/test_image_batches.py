"""Several images at once are encoded as each alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_segmenter import CLASSES, small

import maskadapter as ma
from maskadapter.errors import ImageError
from maskadapter.models.preprocess import InputSize
from maskadapter.models.sources import mask_source

SIZES = [(70, 110), (110, 70), (70, 110), (35, 55), (90, 90)]  # the first, third and fourth become one size


@pytest.fixture
def images() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.mark.parametrize("model", [small, lambda: small("pooling"), lambda: small(maft=True)])
@pytest.mark.parametrize("prune", [False, True])
def test_as_each_alone(model, prune, images) -> None:
    model, sizes = model(), []
    model.inference = replace(model.inference, prune_proposals=prune)
    encode = model.clip.encode_image
    model.clip.encode_image = lambda pixels: (sizes.append(tuple(pixels.shape)), encode(pixels))[1]
    together = model.encode_images(images)
    assert sizes == [(3, 3, 64, 96), (1, 3, 96, 64), (1, 3, 96, 96)]
    for encoded, image in zip(together, images, strict=True):
        alone = model.encode_image(image)
        assert (encoded.sizes, encoded.file_name) == (alone.sizes, None)
        np.testing.assert_array_equal(encoded.image, image)
        torch.testing.assert_close(encoded.proposals.mask_logits, alone.proposals.mask_logits, atol=1e-4, rtol=1e-4)
        found, expected = model.segment(encoded, CLASSES), model.segment(alone, CLASSES)
        torch.testing.assert_close(found.probs, expected.probs, atol=1e-4, rtol=1e-3)
        assert (found.semantic() == expected.semantic()).mean() > 0.999


def test_at_most_eight_at_a_time(images) -> None:
    model, counts = small(), []
    encode = model.clip.encode_image
    model.clip.encode_image = lambda pixels: (counts.append(len(pixels)), encode(pixels))[1]
    found = model.encode_images([images[0] + np.uint8(number) for number in range(19)])
    assert counts == [8, 8, 3]
    for number, encoded in enumerate(found):
        np.testing.assert_array_equal(encoded.image, images[0] + np.uint8(number))


def test_an_image_keeps_no_memory_of_the_others(images) -> None:
    one = small().encode_images([images[0], images[2]])[1]
    for tensor in (one.features.dense, one.features.projected, one.mask_embeddings, one.proposals.mask_logits):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
    assert one.features.pyramid == {}


def test_one_after_another_where_proposals_or_masks_differ_in_number(images) -> None:
    nested, given = ma.load(), small()
    nested.inference = replace(nested.inference, input_size=InputSize(128, 128))
    given.mask_source = mask_source("superpixels", "cpu")
    for model in (nested, given):
        for encoded, image in zip(model.encode_images(images[:2]), images, strict=False):
            assert torch.equal(encoded.proposals.mask_logits, model.encode_image(image).proposals.mask_logits)


def test_a_strip_among_them_is_refused(images) -> None:
    with pytest.raises(ImageError, match="cut it into tiles"):
        small().encode_images([images[0], np.zeros((10, 5000, 3), np.uint8)])
