"""Where a model pools: the numbers add up, and the sheet shows them where they are."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_segmenter import small

from maskadapter.errors import MaskAdapterError
from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.results.result_segment import masks_of
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary

ORANGE = (230, 159, 0)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)


@pytest.mark.parametrize(("pooler", "count"), [("adapter", 16), ("pooling", 1)])
def test_every_map_sums_to_one(image, pooler, count):
    masks = np.zeros((3, 70, 110), bool)
    masks[0, :40, :70], masks[1, 30:, 60:] = True, True  # the third stays empty
    maps = small(pooler).activation_maps(image, masks)
    assert maps.weights.shape == (3, count, 2, 3)
    assert maps.weights.min() >= 0
    sums = maps.weights.sum(axis=(-2, -1))
    np.testing.assert_allclose(sums[:2], 1, atol=1e-5)
    assert not sums[2].any()
    assert small(pooler).activation_maps(image, masks[:0]).weights.shape == (0, count, 2, 3)


def test_pooling_weights_lie_inside_the_mask(image):
    masks = np.zeros((1, 70, 110), bool)
    masks[0, :, :55] = True
    weights = small("pooling").activation_maps(image, masks).weights[0, 0]
    assert weights[:, 0].all()
    assert not weights[:, 2].any()


def test_the_embedding_is_what_its_weights_pool(image):
    model = small()
    batch = model.prepare(image)[0].pixels
    with torch.inference_mode():
        features = model.clip.encode_image(batch)
        logits = torch.randn(1, 5, 24, 32, generator=torch.Generator().manual_seed(0)) * 10
        weights = model.pooler.weights(features, logits)
        pooled = torch.stack(
            [model.clip.project((features.dense * w).sum(dim=(-2, -1))) for w in weights[0].flatten(0, 1)]
        )
        expected = pooled.view(5, 16, -1).mean(dim=1)
        torch.testing.assert_close(
            model.pooler(batch, features, logits, model.clip.project)[0], expected, atol=1e-5, rtol=1e-4
        )


def test_the_sheet_lights_the_weighted_cell_and_no_padding():
    weights = np.zeros((1, 4, 2, 4), np.float32)
    weights[0, 0, 0, 0] = weights[0, 1, 0, 1] = weights[0, 2, 0, 0] = 1
    weights[0, 3, 1, 3] = 1  # lies in the padding
    maps = ActivationMaps(weights, ImageSizes(padded=(64, 128), resized=(32, 64), original=(32, 64)))
    sheet = np.asarray(
        maps.drawn(np.zeros((32, 64, 3), np.uint8), np.ones((1, 32, 64), bool), ["cat"], [ORANGE])
    ).astype(int)
    tile_height, tile_width, gap = 48, 96, 6
    left = 3 * gap + 2 * (2 * tile_width + gap)
    tiles = [
        sheet[top : top + tile_height, start : start + tile_width].sum(axis=2)
        for top in (gap, gap + tile_height + gap)
        for start in (left, left + tile_width + gap)
    ]
    for tile, column in zip(tiles[:3], (0.25, 0.75, 0.25), strict=True):
        assert tile[:, round(column * tile_width)].mean() > 2 * tile[:, round((1 - column) * tile_width)].mean()
    assert tiles[3].max() < 0.2 * tiles[0].max()


@pytest.mark.parametrize(("count", "maps"), [(0, 16), (1, 1), (3, 5), (2, 16)])
@pytest.mark.parametrize("size", [(1, 1), (300, 20), (70, 110)])
def test_a_sheet_of_any_image(count, maps, size):
    weights = np.full((count, maps, 3, 3), 1 / 9, np.float32)
    masks = np.zeros((count, *size), bool)
    sheet = ActivationMaps(weights, ImageSizes((96, 96), (90, 96), size)).drawn(
        np.zeros((*size, 3), np.uint8), masks, ["cat"] * count, [ORANGE] * count
    )
    assert sheet.mode == "RGB"


def test_the_sheet_is_saved_with_the_result(image, tmp_path):
    model = small()
    encoded = model.encode_image(image)
    result = model.segment(encoded, ["cat", "wall"])
    maps = model.activation_maps(encoded, result)
    assert len(maps.weights) == len(result.largest_segments())
    (path,) = result.save(tmp_path, "activations", stem="photo", activation_maps=maps)
    assert path.name == "photo-activations.png"
    with Image.open(path) as sheet:
        assert sheet.size[0] > 100
    masks = masks_of(result.largest_segments(), result.size)
    np.testing.assert_array_equal(maps.weights, model.activation_maps(image, masks).weights)


def test_a_sheet_needs_activation_maps_of_its_result(image, tmp_path):
    sizes = ImageSizes((96, 128), (61, 96), (70, 110))
    lone = Segmentation(image, Vocabulary.of("cat"), torch.zeros(0, 24, 32), torch.zeros(0, 2), sizes)
    with pytest.raises(MaskAdapterError, match=r"give activation_maps=model.activation_maps\(image, result\)"):
        lone.save(tmp_path, ["overlay", "activations"])
    with pytest.raises(MaskAdapterError, match="2 activation maps came for 0 segments"):
        lone.save(tmp_path, "activations", activation_maps=ActivationMaps(np.ones((2, 1, 3, 4), np.float32), sizes))
    assert not list(tmp_path.iterdir())
