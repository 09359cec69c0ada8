"""The whole model with small random weights: shapes, sizes, and what must not change the result."""

import numpy as np
import pytest
import torch
from small_segmenter import CLASSES, small
from torch.overrides import TorchFunctionMode

from maskadapter.errors import ImageError, MaskAdapterError, MaskError, VocabularyError
from maskadapter.models.clip.clip import Clip
from maskadapter.models.preprocess import PIXEL_MEAN, PIXEL_STD, InputSize, refuse_strip, resize, to_batch
from maskadapter.models.sources.mask_logits import at_stride_4
from maskadapter.types.encoded_image import ClipFeatures, ImageBatch, ImageSizes, Proposals


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)


@pytest.mark.parametrize("pooler", ["adapter", "pooling"])
@pytest.mark.parametrize("maft", [False, True])
def test_results_have_the_images_size(image: np.ndarray, pooler: str, maft: bool) -> None:
    result = small(pooler, maft=maft).segment(image, CLASSES, background=None)
    assert result.class_names == ("cat", "sofa", "wall")
    assert result.size == (70, 110)
    labels = result.semantic()
    assert (labels.shape, labels.dtype) == ((70, 110), np.int32)
    assert set(np.unique(labels)) <= {0, 1, 2}
    assert result.panoptic().ids.shape == (70, 110)
    found = result.instances(top=5)
    assert found.masks.shape[1:] == (70, 110)
    assert len(found.masks) == len(found.boxes) == len(found.labels) == len(found.scores)
    torch.testing.assert_close(result.probs.sum(dim=-1), torch.ones(10))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (33, 32), (256, 256)])
def test_any_size_of_image(size: tuple[int, int]) -> None:
    result = small().segment(np.zeros((*size, 3), np.uint8), ["cat"], background=None)
    assert result.semantic().shape == size
    assert not result.semantic().any()  # one class wins everywhere


@pytest.mark.parametrize(
    ("size", "resized", "tiles"),
    [
        ((64, 20_000), (2, 640), "256 x 64"),
        ((20_000, 64), (640, 2), "64 x 256"),
        ((500, 10_050), (31, 640), "2,000 x 500"),
        ((100, 9_000), (15, 1333), "400 x 100"),
        ((31, 1_400), (30, 1333), "124 x 31"),
    ],
)
def test_a_panorama_that_would_shrink_to_a_strip_is_refused(
    size: tuple[int, int], resized: tuple[int, int], tiles: str
) -> None:
    with pytest.raises(ImageError, match=f"less than a patch of 32: cut it into tiles of about {tiles} pixels$"):
        refuse_strip(size, resized, 32)


@pytest.mark.parametrize("size", [(1000, 6000), (3000, 500), (3628, 16382), (100, 2000), (20, 20), (1, 300), (9, 90)])
@pytest.mark.parametrize("limits", [(640, 640), (896, 896), (800, 1333)])
def test_other_images_are_not(size: tuple[int, int], limits: tuple[int, int]) -> None:
    refuse_strip(size, InputSize(*limits).of(size), 32)


def test_a_strip_is_refused_by_the_segmenter() -> None:
    with pytest.raises(ImageError, match="image of 2,000 x 40 pixels would shrink to 96 x 2, less than"):
        small().segment(np.zeros((40, 2000, 3), np.uint8), ["cat"])


def test_classes_encoded_once_give_the_same_result(image: np.ndarray) -> None:
    model = small()
    encoded = model.encode_text(CLASSES)
    torch.testing.assert_close(encoded.text_embeddings.norm(dim=-1), torch.ones(4))
    first, second = model.segment(image, CLASSES), model.segment(image, encoded)
    assert torch.equal(first.probs, second.probs)
    assert (first.semantic() == second.semantic()).all()


def test_the_order_of_classes_only_renumbers_the_result(image: np.ndarray) -> None:
    model = small()
    forward = model.segment(image, ["cat", "dog", "wall"], background=None)
    backward = model.segment(image, ["wall", "dog", "cat"], background=None)
    torch.testing.assert_close(forward.probs[:, [2, 1, 0, 3]], backward.probs, atol=1e-5, rtol=1e-4)


def test_a_text_embedding_is_the_mean_over_templates() -> None:
    clip = small().clip
    single = [Clip(clip.model, clip.tokenizer, templates=(t,)).encode_text(["cat"]) for t in clip.templates]
    mean = torch.nn.functional.normalize(torch.stack(single).mean(dim=0), dim=-1)
    torch.testing.assert_close(clip.encode_text(["cat"]), mean)
    with torch.inference_mode():  # what stands behind the end of a text is left out; open_clip computes it
        tokens = clip.tokenizer(["a photo of a cat.", "cat", "a very long name " * 40, ""])
        expected = clip.model.encode_text(tokens, normalize=True)
        torch.testing.assert_close(clip._encode_tokens(tokens), expected, atol=1e-6, rtol=1e-5)
    names = [f"name {i}" for i in range(7)]
    torch.testing.assert_close(clip.encode_text(names, batch_size=3), clip.encode_text(names), atol=1e-6, rtol=1e-5)


def test_classify_classifies_each_mask_alone(image: np.ndarray) -> None:
    model = small()
    masks = np.random.default_rng(1).random((40, 70, 110)) > 0.7
    named = model.classify(image, masks, CLASSES)
    assert named.probs.shape == (40, 3)
    np.testing.assert_allclose(named.probs.sum(axis=1), 1, atol=1e-5)
    assert (named.labels == named.probs.argmax(axis=1)).all()
    assert (named.scores == named.probs.max(axis=1)).all()
    np.testing.assert_allclose(model.classify(image, masks[7:9], CLASSES).probs, named.probs[7:9], atol=1e-5)


@pytest.mark.parametrize("pooler", ["adapter", "pooling"])
def test_an_empty_mask_has_no_class_in_any_result(image: np.ndarray, pooler: str) -> None:
    model = small(pooler)
    assert model.classify(image, np.zeros((0, 70, 110), bool), CLASSES).probs.shape == (0, 3)
    masks = np.zeros((3, 70, 110), bool)
    masks[1, 10:60, 20:90] = True
    classified = model.classify(image, masks, CLASSES)
    assert np.isnan(classified.probs).all(axis=1).tolist() == [True, False, True]
    assert (classified.labels >= 0).tolist() == [False, True, False]
    alone = model.classify(image, masks[1:2], CLASSES)
    np.testing.assert_allclose(classified.probs[1], alone.probs[0], atol=1e-5)
    sums = model.activation_maps(image, masks).weights.sum(axis=(-2, -1))
    np.testing.assert_allclose(sums[:, 0], [0, 1, 0], atol=1e-5)
    result = model.segment(image, CLASSES, masks=masks, background=None)
    assert (result.semantic() == np.where(masks[1], alone.labels[0], -1)).all()
    nothing = model.segment(image, CLASSES, masks=masks[[0, 2]], background=None)
    assert (nothing.semantic() == -1).all()
    assert nothing.panoptic().segments == ()


@pytest.mark.parametrize("pooler", ["adapter", "pooling"])
@pytest.mark.parametrize("place", [(0, 0), (437, 901), (699, 1099)])
def test_a_mask_of_one_pixel_pools_the_location_under_it(pooler: str, place: tuple[int, int]) -> None:
    large = np.random.default_rng(2).integers(0, 256, (700, 1100, 3), dtype=np.uint8)
    model, masks = small(pooler), np.zeros((2, 700, 1100), bool)
    masks[0, place[0], place[1]] = True
    masks[1, 100:600, 100:1000] = True
    assert (model.classify(large, masks, CLASSES).labels >= 0).all()
    weights = model.activation_maps(large, masks).weights[0, 0]
    np.testing.assert_allclose(weights.sum(), 1, atol=1e-5)
    if pooler == "pooling":
        rows, columns = model.prepare(large)[1].resized
        expected = int(place[0] / 700 * rows / 32), int(place[1] / 1100 * columns / 32)
        assert np.argwhere(weights).tolist() == [list(expected)]


def test_masks_that_an_image_was_encoded_with_are_classified_by_any_classes(image: np.ndarray) -> None:
    model = small()
    masks = np.random.default_rng(1).random((3, 70, 110)) > 0.7
    encoded = model.encode_image(image, masks)
    for classes in (CLASSES, "dog, sky"):
        again, alone = model.classify(encoded, None, classes), model.classify(image, masks, classes)
        np.testing.assert_array_equal(again.masks, masks)
        np.testing.assert_allclose(again.probs, alone.probs, atol=1e-5)


def test_classify_without_masks_says_so(image: np.ndarray) -> None:
    with pytest.raises(MaskError, match="no masks were given"):
        small(generator=False).classify(image, None, CLASSES)
    with pytest.raises(MaskError, match="no masks were given"):
        small().classify(image, None, CLASSES)


def test_classify_refuses_masks_of_another_size(image: np.ndarray) -> None:
    with pytest.raises(MaskError, match="70"):
        small().classify(image, np.zeros((1, 71, 110), bool), CLASSES)


def test_a_warmup_model_classifies_and_does_not_segment(image: np.ndarray) -> None:
    model = small(generator=False)
    assert model.classify(image, np.ones((1, 70, 110), bool), CLASSES).probs.shape == (1, 3)
    with pytest.raises(MaskAdapterError, match="hold no mask generator"):
        model.segment(image, CLASSES)


def test_a_proposal_head_that_does_not_classify_leaves_the_choice_to_clip(image: np.ndarray) -> None:
    model = small()
    inner = model.generator
    result = model.segment(image, CLASSES)

    class Silent(torch.nn.Module):
        def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
            return Proposals(inner(inputs, features).mask_logits)

    model.generator = Silent()
    silent = model.segment(image, CLASSES)
    assert torch.equal(silent.mask_logits, result.mask_logits)
    assert not silent.probs[:, -1].any()
    torch.testing.assert_close(silent.probs.sum(dim=-1), torch.ones(10))


def test_no_classes_is_one_line(image: np.ndarray) -> None:
    with pytest.raises(VocabularyError, match="no classes"):
        small().segment(image, "")


def test_saved_results_open_again(image: np.ndarray, tmp_path) -> None:
    from PIL import Image

    result = small().segment(image, CLASSES)
    paths = result.save(tmp_path / "new", ["overlay", "labels"], stem="photo")
    assert [path.name for path in paths] == ["photo-overlay.png", "photo-labels.png", "photo-classes.json"]
    assert (np.asarray(Image.open(paths[1])).astype(int) - 1 == result.semantic()).all()
    assert len(result.save(tmp_path / "new", "overlay, overlay", stem="photo")) == 1
    with pytest.raises(MaskAdapterError, match="unknown format 'svg': choose from overlay, labels"):
        result.save(tmp_path, ["svg"])


def test_proposals_of_other_shapes_are_refused() -> None:
    with pytest.raises(MaskError, match=r"\(B, N, h, w\) is needed"):
        Proposals(torch.zeros(3, 4, 5))
    with pytest.raises(MaskError, match=r"\(1, 3\) is needed"):
        Proposals(torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 7))


@pytest.mark.parametrize(
    ("limits", "size", "expected"),
    [
        ((117, 190), (100, 157), (117, 184)),  # recorded from detectron2
        ((896, 896), (480, 640), (672, 896)),
        ((800, 1333), (480, 640), (800, 1067)),
        ((800, 1333), (100, 1000), (133, 1333)),
        ((896, 896), (1, 5000), (1, 896)),
    ],
)
def test_input_sizes(limits: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert InputSize(*limits).of(size) == expected


def test_a_batch_is_normalized_and_then_padded_with_zeros(image: np.ndarray) -> None:
    small_one = resize(image, (40, 50))
    batch = to_batch([image, small_one], divisor=32)
    assert batch.shape == (2, 3, 96, 128)
    expected = (small_one.astype(np.float64) - PIXEL_MEAN) / PIXEL_STD
    np.testing.assert_allclose(batch[1, :, :40, :50].permute(1, 2, 0), expected, atol=1e-5)
    assert not batch[1, :, 40:].any()
    assert not batch[1, :, :, 50:].any()


def test_masks_keep_their_outline_at_stride_4_and_small_ones_their_location() -> None:
    sizes = ImageSizes(padded=(96, 128), resized=(80, 120), original=(80, 120))
    masks = torch.zeros(3, 80, 120, dtype=torch.bool)
    masks[0, 8:40, 16:60] = True
    masks[1, 33, 45] = True  # one pixel, in cell (8, 11)
    cells = at_stride_4(masks, sizes) > 0
    assert cells.shape == (3, 24, 32)
    assert cells[0, 2:10, 4:15].all()
    assert cells[0].sum() == 8 * 11
    assert cells[1, 8, 11]
    assert cells[1].sum() == 1
    assert not cells[2].any()


def test_images_of_a_batch_do_not_influence_each_other(image: np.ndarray) -> None:
    model = small()
    other = np.ascontiguousarray(image[::-1])
    encoded = model.encode_text(CLASSES)
    with torch.inference_mode():
        together = model(ImageBatch(to_batch([image, other], 32), [image, other]), encoded)
        alone = model(ImageBatch(to_batch([other], 32), [other]), encoded)
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:], one, atol=1e-4, rtol=1e-3)


def test_things_may_be_given_with_the_classes_or_later(image: np.ndarray) -> None:
    model = small()
    encoded = model.encode_text(["cat", "wall"])
    assert encoded.vocabulary.is_thing == (True, False)
    assert model.encode_text(encoded, things=["wall"]).vocabulary.is_thing == (False, True)
    assert model.segment(image, encoded, things=["wall"]).vocabulary.is_thing == (False, True)


def test_results_are_named_after_the_file(image: np.ndarray, tmp_path) -> None:
    from PIL import Image

    Image.fromarray(image).save(tmp_path / "my photo.png")
    paths = small().segment(tmp_path / "my photo.png", CLASSES).save(tmp_path, "labels")
    assert [path.name for path in paths] == ["my photo-labels.png", "my photo-classes.json"]


class NoFloat64(TorchFunctionMode):
    """Fails where float64 is made: Apple's MPS has none. Coordinates, vectors, are made on the CPU on purpose."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            assert result.ndim <= 1, f"{function} made float64 of shape {tuple(result.shape)}"
        return result


@pytest.mark.parametrize("maft", [False, True])
def test_nothing_but_coordinates_is_float64(image: np.ndarray, maft: bool) -> None:
    model = small(maft=maft)
    with NoFloat64():
        result = model.segment(image, CLASSES)
        result.semantic(), result.panoptic(), result.instances()
        model.classify(image, np.ones((2, 70, 110), bool), CLASSES)
