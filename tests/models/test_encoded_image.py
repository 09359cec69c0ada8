"""An image is encoded once: other classes, other masks and activation maps use the same pass of the image encoder."""

import pickle
import subprocess
import sys
from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from small_segmenter import CLASSES, small

from maskadapter.models.builder import Architecture, build
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.types.encoded_image import EncodedImage, Proposals


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)


def tiny() -> OpenVocabularySegmenter:
    """The embedded model's parts with random weights, for small images: nested regions, which compete by text."""
    torch.manual_seed(0)
    made = build(Architecture("tiny", "adapter")).eval().requires_grad_(False)
    made.inference = replace(made.inference, input_size=InputSize(128, 128))
    return made


@pytest.mark.parametrize("model", [small, lambda: small("pooling"), lambda: small(maft=True), tiny])
def test_other_classes_give_what_a_single_call_gives_to_the_bit(model, image) -> None:
    model = model()
    encoded = model.encode_image(image)
    for classes in (CLASSES, ["dog", "grass"], ["cat"]):
        later, single = model.segment(encoded, classes), model.segment(image, classes)
        assert torch.equal(later.probs, single.probs)
        assert torch.equal(later.mask_logits, single.mask_logits)
        assert later.background == single.background
        assert (later.semantic() == single.semantic()).all()
        assert (later.panoptic().ids == single.panoptic().ids).all()


def test_masks_that_are_known_exactly_take_a_byte_a_location_and_change_nothing(image) -> None:
    model = tiny()
    small = model.encode_image(image)
    logits = small.proposals.mask_logits
    assert logits.dtype == torch.int8
    assert set(logits.unique().tolist()) == {-10, 10}
    large = replace(small, proposals=replace(small.proposals, mask_logits=logits.float()))
    for prune in (False, True):
        model.inference = replace(model.inference, prune_proposals=prune)
        if prune:
            small, large = (replace(encoded, mask_embeddings=None) for encoded in (small, large))
        found, expected = (model.segment(encoded, CLASSES) for encoded in (small, large))
        assert torch.equal(found.probs, expected.probs)
        for order in ("masks-first", "classes-first"):
            one, other = (replace(result, semantic_order=order) for result in (found, expected))
            np.testing.assert_array_equal(one.semantic(), other.semantic())
            np.testing.assert_array_equal(one.semantic_scores(), other.semantic_scores())
        np.testing.assert_array_equal(found.panoptic().ids, expected.panoptic().ids)
        assert found.panoptic().segments == expected.panoptic().segments
        for one, other in zip(*(astuple(one.instances()) for one in (found, expected)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_other_mask_logits_stay_as_they_are() -> None:
    soft = Proposals(torch.tensor([10.0, 0.5]).view(1, 1, 1, 2))
    assert soft.in_bytes() is soft


def test_masks_are_encoded_once_for_many_lists_of_classes(image) -> None:
    model, masks = small(maft=True), np.random.default_rng(1).random((5, 70, 110)) > 0.6
    encoded = model.encode_image(image, masks)
    for classes in (CLASSES, ["dog", "grass"]):
        single = model.segment(image, classes, masks=masks)
        assert torch.equal(model.segment(encoded, classes).probs, single.probs)
        assert torch.equal(model.segment(model.encode_image(image), classes, masks=masks).probs, single.probs)
        np.testing.assert_array_equal(
            model.classify(model.encode_image(image), masks, classes).probs, model.classify(image, masks, classes).probs
        )


def test_the_image_encoder_and_the_proposal_head_run_once(image, tmp_path) -> None:
    model, calls = small(), []
    encode = model.clip.encode_image
    model.clip.encode_image = lambda images: calls.append("encoder") or encode(images)
    model.generator.register_forward_hook(lambda *_: calls.append("head"))
    encoded = model.encode_image(image)
    result = model.segment(encoded, CLASSES)
    model.segment(encoded, ["dog"])
    model.classify(encoded, np.ones((2, 70, 110), bool), CLASSES)
    result.save(tmp_path, ["overlay", "activations"], activation_maps=model.activation_maps(encoded, result))
    assert calls == ["encoder", "head"]


def test_results_do_not_share_the_callers_array(image) -> None:
    model = small("pooling")
    encoded, kept = model.encode_image(image), image.copy()
    result = model.segment(image, CLASSES)
    image[:] = 0
    np.testing.assert_array_equal(encoded.image, kept)
    np.testing.assert_array_equal(result.image, kept)
    tensor = torch.from_numpy(kept.copy()).permute(2, 0, 1)
    assert not np.shares_memory(model.encode_image(tensor).image, tensor.numpy())


def test_encoded_images_and_results_go_to_another_process_without_the_model(image, tmp_path) -> None:
    model = small()
    encoded = model.encode_image(image)
    result = model.segment(encoded, CLASSES)
    content = pickle.dumps((encoded, result))
    weights = sum(parameter.numel() * 4 for parameter in model.parameters())
    assert len(content) < weights / 10
    (tmp_path / "data.pickle").write_bytes(content)
    code = """
import pickle, sys
encoded, result = pickle.load(open(sys.argv[1], "rb"))
print(type(encoded).__name__, encoded.image.shape, tuple(encoded.mask_embeddings.shape))
print(int(result.semantic().astype("int64").sum()), len(result.panoptic().segments))
result.save(sys.argv[2], ["overlay", "panoptic"], stem="other")
assert not any(name.startswith(("maskadapter.models", "open_clip")) for name in sys.modules), "the model was imported"
"""
    command = [sys.executable, "-c", code, str(tmp_path / "data.pickle"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "EncodedImage (70, 110, 3) (1, 10, 32)"
    assert second == f"{int(result.semantic().astype('int64').sum())} {len(result.panoptic().segments)}"
    assert (tmp_path / "other-overlay.png").exists()
    again: EncodedImage = pickle.loads(content)[0]
    assert torch.equal(model.segment(again, CLASSES).probs, result.probs)


def test_the_file_name_stays_with_the_encoded_image(image, tmp_path) -> None:
    from PIL import Image

    Image.fromarray(image).save(tmp_path / "my photo.png")
    model = small("pooling")
    encoded = model.encode_image(tmp_path / "my photo.png")
    assert encoded.file_name == "my photo.png"
    assert model.segment(encoded, CLASSES).file_name == "my photo.png"
    assert model.segment(image, CLASSES).file_name == "image.png"
