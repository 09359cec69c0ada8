"""The adapter's shapes, its choices, and what pooling with its maps means."""

import pytest
import torch
import torch.nn.functional as F

from maskadapter.models.config import AdapterConfig
from maskadapter.models.mask_adapter import MaskAdapter, pooling_weights
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import MaskPooling, area_weights, inside_weights, pool_inside, weighted_sum
from maskadapter.types.encoded_image import ClipFeatures

FEATURES = torch.randn(2, 24, 5, 7, generator=torch.Generator().manual_seed(0))
MASKS = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(1)) > 0.5


@pytest.mark.parametrize("patchify", ["two-3x3", "one-4x4"])
@pytest.mark.parametrize("fusion", ["add", "concatenate"])
@pytest.mark.parametrize("num_blocks", [2, 3, 4])
@pytest.mark.parametrize("num_maps", [1, 16])
def test_every_choice_gives_maps_of_the_features_size(
    patchify: str, fusion: str, num_blocks: int, num_maps: int
) -> None:
    adapter = MaskAdapter(24, AdapterConfig(32, num_blocks, num_maps, patchify, fusion))
    assert adapter(FEATURES, MASKS).shape == (2, 3, num_maps, 5, 7)
    assert len(adapter.blocks) == num_blocks


def test_without_features_the_maps_depend_on_the_mask_alone() -> None:
    torch.manual_seed(0)
    blind = MaskAdapter(24, AdapterConfig(32, use_features=False))
    assert torch.equal(blind(FEATURES, MASKS), blind(FEATURES + 1, MASKS))
    assert not torch.equal(blind(FEATURES, MASKS), blind(FEATURES, ~MASKS))
    seeing = MaskAdapter(24, AdapterConfig(32))
    assert not torch.equal(seeing(FEATURES, MASKS), seeing(FEATURES + 1, MASKS))


def test_masks_do_not_influence_each_other_nor_do_images() -> None:
    torch.manual_seed(0)
    adapter = MaskAdapter(24, AdapterConfig(32))
    together = adapter(FEATURES, MASKS)
    alone = adapter(FEATURES[1:], MASKS[1:, 2:])
    torch.testing.assert_close(together[1:, 2:], alone, atol=1e-6, rtol=1e-5)


def test_an_unknown_patchify_is_refused() -> None:
    with pytest.raises(ValueError, match="'two-3x3' or 'one-4x4' is needed"):
        MaskAdapter(24, AdapterConfig(patchify="three-5x5"))


def test_pooling_weights_are_normalized_sigmoids() -> None:
    maps = torch.randn(2, 3, 4, 5, 7) * 5
    sigmoid = maps.double().sigmoid().flatten(-2)
    expected = sigmoid / sigmoid.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(pooling_weights(maps).double(), expected, atol=1e-6, rtol=1e-4)


def test_pooling_weights_survive_maps_whose_sigmoids_all_underflow() -> None:
    weights = pooling_weights(torch.full((1, 1, 1, 2, 2), -200.0))
    torch.testing.assert_close(weights, torch.full((1, 1, 1, 4), 0.25))


def test_each_pooled_vector_is_projected_before_the_mean() -> None:
    torch.manual_seed(0)
    adapter = MaskAdapter(24, AdapterConfig(32, num_maps=4))
    features = ClipFeatures({}, dense=torch.randn(2, 6, 5, 7), projected=FEATURES)
    logits = torch.where(MASKS, 9.0, -9.0)

    def project(x: torch.Tensor) -> torch.Tensor:
        return F.pad(x.relu(), (0, 18))

    got = AdapterPooler(adapter)(torch.empty(0), features, logits, project)
    weights = pooling_weights(adapter(FEATURES, MASKS))
    for b in range(2):
        for n in range(3):
            vectors = [project(features.dense[b].flatten(1) @ weights[b, n, m]) for m in range(4)]
            torch.testing.assert_close(got[b, n], torch.stack(vectors).mean(dim=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 3, 32])
def test_chunks_do_not_change_the_embedding(chunk: int) -> None:
    torch.manual_seed(0)
    features = ClipFeatures({}, dense=torch.randn(2, 24, 5, 7), projected=FEATURES)
    adapter, logits = MaskAdapter(24, AdapterConfig(32)), torch.where(MASKS, 9.0, -9.0)
    whole = AdapterPooler(adapter)(torch.empty(0), features, logits, lambda x: x)
    parts = AdapterPooler(adapter, chunk=chunk)(torch.empty(0), features, logits, lambda x: x)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)


def test_no_masks_give_no_embeddings() -> None:
    features = ClipFeatures({}, dense=FEATURES, projected=FEATURES)
    none = torch.zeros(2, 0, 40, 56)
    assert AdapterPooler(MaskAdapter(24, AdapterConfig(32)))(torch.empty(0), features, none, lambda x: x).shape == (
        2,
        0,
        24,
    )
    assert MaskPooling()(torch.empty(0), features, none, lambda x: x).shape == (2, 0, 24)


def test_pooling_is_the_mean_inside() -> None:
    logits = torch.full((2, 1, 5, 7), -1.0)
    logits[:, 0, 1:3, 2:4] = 1.0
    expected = FEATURES[:, :, 1:3, 2:4].mean(dim=(-2, -1))
    torch.testing.assert_close(pool_inside(FEATURES, logits)[:, 0], expected)
    torch.testing.assert_close(weighted_sum(FEATURES, area_weights(logits, FEATURES.shape[-2:]))[:, 0], expected)


def test_a_mask_smaller_than_a_cell_pools_its_cell_by_area_and_nothing_inside() -> None:
    logits = torch.full((2, 1, 40, 56), -10.0)
    logits[:, 0, 17, 33] = 10.0  # in cell (2, 4)
    torch.testing.assert_close(
        weighted_sum(FEATURES, area_weights(logits, FEATURES.shape[-2:]))[:, 0], FEATURES[:, :, 2, 4]
    )
    assert not pool_inside(FEATURES, logits).any()


def test_an_empty_mask_pools_nothing_in_any_precision() -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for weights in (inside_weights, area_weights):
            assert not weights(torch.full((1, 1, 8, 8), -10.0, dtype=dtype), (4, 4)).any()
            full = weights(torch.full((1, 1, 8, 8), 10.0, dtype=dtype), (4, 4))
            assert full.dtype == dtype
            torch.testing.assert_close(full, torch.full((1, 1, 4, 4), 1 / 16, dtype=dtype))
