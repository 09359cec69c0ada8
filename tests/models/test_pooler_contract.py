"""What every pooler promises, whichever way it turns masks into embeddings."""

import pytest
import torch
from torch import Tensor

from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.models.config import AdapterConfig
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler, distinct
from maskadapter.models.poolers.mask_cropping import MaskCropping
from maskadapter.models.poolers.mask_pooling import MaskPooling
from maskadapter.types.encoded_image import ClipFeatures

CHANNELS, DIM, HEIGHT, WIDTH = 20, 24, 6, 8


def adapter(seed: int = 3) -> MaskAdapter:
    torch.manual_seed(seed)
    made = MaskAdapter(DIM, AdapterConfig(hidden_dim=16, num_maps=4))
    for block in made.blocks:
        torch.nn.init.normal_(block.gamma, std=0.5)  # else the blocks change nothing
    return made.eval().requires_grad_(False)


def project(vectors: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return vectors @ torch.randn(CHANNELS, DIM, generator=rng).to(vectors)


def encode_whole(images: Tensor) -> Tensor:
    return images.flatten(1)[:, :DIM]


POOLERS = {
    "mask pooling": lambda: MaskPooling("inside"),
    "mask pooling by area": lambda: MaskPooling("area"),
    "mask cropping": lambda: MaskCropping(encode_whole, 8, DIM),
    "Mask-Adapter": lambda: AdapterPooler(adapter()),
    "Mask-Adapter, one mask at a time": lambda: AdapterPooler(adapter(), chunk=1),
}
WITH_MAPS = [name for name in POOLERS if name != "mask cropping"]


@pytest.fixture(params=POOLERS)
def pooler(request: pytest.FixtureRequest):
    return POOLERS[request.param]()


def inputs(images: int = 2, masks: int = 5) -> tuple[Tensor, ClipFeatures, Tensor]:
    rng = torch.Generator().manual_seed(0)
    dense = torch.randn(images, CHANNELS, HEIGHT, WIDTH, generator=rng)
    projected = torch.randn(images, DIM, HEIGHT, WIDTH, generator=rng)
    mask_logits = torch.full((images, masks, 8 * HEIGHT, 8 * WIDTH), -10.0)
    for index in range(masks):
        mask_logits[:, index, 7 * index : 7 * index + 20, 9 * index : 9 * index + 24] = 10
    pixels = torch.randn(images, 3, 32 * HEIGHT, 32 * WIDTH, generator=rng)
    return pixels, ClipFeatures({}, dense, projected), mask_logits


def one_image(given: tuple[Tensor, ClipFeatures, Tensor], index: int) -> tuple[Tensor, ClipFeatures, Tensor]:
    pixels, features, masks = given
    part = slice(index, index + 1)
    return pixels[part], ClipFeatures({}, features.dense[part], features.projected[part]), masks[part]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_an_embedding_for_every_mask(pooler) -> None:
    embeddings = pooler(*inputs(), project)
    assert embeddings.shape == (2, 5, DIM)
    assert embeddings.isfinite().all()
    assert len(embeddings[0].unique(dim=0)) == 5


def test_no_masks_give_no_embeddings(pooler) -> None:
    assert pooler(*inputs(masks=0), project).shape == (2, 0, DIM)


def test_an_empty_mask_has_a_finite_embedding(pooler) -> None:
    pixels, features, masks = inputs()
    masks[:, 2] = -10
    empty = pooler(pixels, features, masks, project)
    assert empty.isfinite().all()
    close(empty[:, [0, 1, 3, 4]], pooler(*inputs(), project)[:, [0, 1, 3, 4]])


def test_images_do_not_influence_each_other(pooler) -> None:
    given = inputs()
    together = pooler(*given, project)
    for index in range(2):
        close(together[index : index + 1], pooler(*one_image(given, index), project))


def test_masks_do_not_influence_each_other(pooler) -> None:
    pixels, features, masks = inputs()
    together = pooler(pixels, features, masks, project)
    order = torch.tensor([3, 1, 4, 0, 2])
    close(pooler(pixels, features, masks[:, order], project), together[:, order])
    close(pooler(pixels, features, masks[:, 1:2], project), together[:, 1:2])
    close(pooler(pixels, features, masks[:, [1, 1, 1, 1]], project), together[:, [1, 1, 1, 1]])


def test_only_the_side_of_the_threshold_counts(pooler) -> None:
    pixels, features, masks = inputs()
    close(pooler(pixels, features, 3 * masks, project), pooler(pixels, features, masks, project))


def test_what_is_given_stays_as_it_was(pooler) -> None:
    given, before = inputs(), inputs()
    pooler(*given, project)
    assert torch.equal(given[0], before[0])
    assert torch.equal(given[2], before[2])
    assert torch.equal(given[1].dense, before[1].dense)


@pytest.mark.parametrize("name", WITH_MAPS)
def test_pooling_weights_are_shares(name: str) -> None:
    _, features, masks = inputs()
    weights = POOLERS[name]().weights(features, masks)
    assert weights.shape[:2] == (2, 5)
    assert weights.shape[-2:] == (HEIGHT, WIDTH)
    assert bool((weights >= 0).all())
    close(weights.sum(dim=(-2, -1)), torch.ones(weights.shape[:3]))


@pytest.mark.parametrize("name", WITH_MAPS)
def test_embeddings_are_what_the_weights_pool(name: str) -> None:
    pixels, features, masks = inputs()
    pooler = POOLERS[name]()
    pooled = torch.einsum("bnmhw,bchw->bnmc", pooler.weights(features, masks), features.dense)
    close(pooler(pixels, features, masks, project), project(pooled).mean(dim=2))


def test_the_ways_of_computing_the_adapter_agree() -> None:
    reference = ReferencePooler(AdapterPooler(adapter()))(*inputs(), project)
    for name in ("Mask-Adapter", "Mask-Adapter, one mask at a time"):
        close(POOLERS[name]()(*inputs(), project), reference)


@pytest.mark.parametrize("kind", [torch.bool, torch.float32])
def test_different_masks_among_equal_ones(kind) -> None:
    random = torch.rand(40, 33, 47, generator=torch.Generator().manual_seed(0))
    masks = (random > 0.5 if kind == torch.bool else random)[torch.arange(100) % 40]
    different, which = distinct(masks)
    assert len(different) == 40
    assert torch.equal(different[which], masks)


def test_masks_that_differ_are_kept_apart_where_their_sums_are_equal(monkeypatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda size, **options: torch.ones(size))
    masks = torch.eye(6, dtype=torch.bool)[:, None]
    different, which = distinct(masks)
    assert torch.equal(different[which], masks)
