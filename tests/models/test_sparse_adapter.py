"""The sparse adapter gives what the direct one gives, for any mask, size and kind of adapter."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from maskadapter.models.config import AdapterConfig
from maskadapter.models.mask_adapter import MaskAdapter, pool_with_maps
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.types.encoded_image import ClipFeatures

CELLS = (13, 18)
SIZE = (52, 72)


def adapter_of(**options):
    """One whose blocks matter: a new one's layer scale is 1e-6."""
    torch.manual_seed(1)
    adapter = MaskAdapter(24, AdapterConfig(**{"hidden_dim": 32, "num_maps": 4, **options}))
    for block in adapter.blocks:
        nn.init.uniform_(block.gamma, 0.5, 1.0)
    return adapter


def masks_of(size=SIZE):
    """(N, H, W): of every kind, by name."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(size) / 4) ** 2
    return {
        "empty": torch.zeros(size, dtype=torch.bool),
        "full": torch.ones(size, dtype=torch.bool),
        "one pixel": (y == height // 3) & (x == width // 3),
        "corner": (y < 2) & (x < 3),
        "border": y > height - 6,
        "half": x < width // 2,
        "hole": ~((y == 20) & (x == 30)),
        "disc": disc,
        "the same disc": disc.clone(),
        "a larger disc": F.max_pool2d(disc[None].float(), 9, 1, 4)[0] > 0,
        "noise": torch.rand(size, generator=torch.Generator().manual_seed(0)) > 0.5,
        "columns": (x // 8) % 2 == 0,
    }


KINDS = [
    {},
    {"patchify": "one-4x4"},
    {"fusion": "concatenate"},
    {"use_features": False},
    {"num_blocks": 1},
    {"num_blocks": 4, "num_maps": 1},
]


def both(adapter, masks, cells=CELLS):
    features = torch.randn(1, 24, *cells, generator=torch.Generator().manual_seed(2))
    return adapter(features, masks[None])[0], SparseAdapter(adapter, features)(masks)


@torch.no_grad()
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_every_kind_of_mask(options):
    masks = masks_of()
    direct, sparse = both(adapter_of(**options), torch.stack(list(masks.values())))
    for name, one, other in zip(masks, direct, sparse, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-5, msg=name)
    # The names differ as masks do: only the two discs are one.
    apart = torch.cdist(direct.flatten(1), direct.flatten(1)) > 1e-3
    assert int((~apart).sum()) == len(masks) + 2


@torch.no_grad()
@pytest.mark.parametrize("size", [(52, 72), (13, 18), (100, 131), (7, 300), (1, 1)])
def test_masks_of_any_resolution(size):
    direct, sparse = both(adapter_of(), torch.stack(list(masks_of(size).values())))
    torch.testing.assert_close(sparse, direct, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("cells", [(1, 1), (1, 9), (2, 2), (7, 7), (31, 5)])
def test_maps_of_any_size(cells):
    direct, sparse = both(adapter_of(), torch.stack(list(masks_of().values())), cells)
    torch.testing.assert_close(sparse, direct, rtol=0, atol=1e-5)


@torch.no_grad()
def test_soft_masks():
    masks = torch.rand(3, *SIZE) * torch.stack(list(masks_of().values()))[[1, 7, 9]]
    direct, sparse = both(adapter_of(), masks)
    torch.testing.assert_close(sparse, direct, rtol=0, atol=1e-5)


@torch.no_grad()
def test_cells_far_from_the_boundary_cost_nothing(monkeypatch):
    adapter, masks = adapter_of(num_blocks=2), masks_of((160, 160))
    features = torch.randn(1, 24, 40, 40)
    sparse, rows = SparseAdapter(adapter, features), []
    for block in adapter.blocks:
        block.residual = lambda y, given=block.residual: (rows.append(len(y)), given(y))[1]
    sparse(torch.stack([masks["empty"], masks["full"]]))
    assert sum(rows) == 0
    sparse(masks["one pixel"][None])
    # A pixel is seen by the patches of 2 x 2 cells at most; a block widens that by 3 cells to each side.
    assert sum(rows) <= 8 * 8 + 14 * 14
    assert sum(rows) >= 7 * 7 + 13 * 13


@pytest.mark.parametrize("less", [False, True], ids=["as it is", "checkpoint_blocks"])
def test_gradients(less):
    """In double precision, so that nothing but a mistake can tell them apart."""
    adapter, masks = adapter_of().double(), torch.stack(list(masks_of().values()))
    features = torch.randn(1, 24, *CELLS, dtype=torch.float64, requires_grad=True)
    wanted = [features, *adapter.parameters()]
    direct = torch.autograd.grad(adapter(features, masks[None]).square().mean(), wanted)
    adapter.checkpoint_blocks = less
    sparse = torch.autograd.grad(SparseAdapter(adapter, features)(masks).square().mean(), wanted)
    for one, other in zip(direct, sparse, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


def kept_for_backward(compute):
    """Numbers that the graph of ``compute()`` keeps beside the parameters, each storage counted once, and the matrix
    products of its backward pass, in multiplications."""
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = compute()
    with FlopCounterMode(display=False) as counter:
        result.square().mean().backward()
    flops = counter.get_flop_counts()["Global"]
    products = sum(count for kind, count in flops.items() if kind in (torch.ops.aten.mm, torch.ops.aten.addmm))
    return sum(count for count, tensor in kept.values() if not isinstance(tensor, nn.Parameter)), products // 2


def test_what_the_backward_pass_keeps_and_computes_again():
    """Noise is felt everywhere, so that only what is kept of a cell counts."""
    channels, count = 256, 6
    adapter = adapter_of(hidden_dim=channels)
    masks = torch.rand(count, *SIZE, generator=torch.Generator().manual_seed(0)) > 0.5
    features = torch.randn(1, 24, *CELLS)
    rows = len(adapter.blocks) * (count + 2) * CELLS[0] * CELLS[1]  # with the empty and the full mask
    direct, _ = kept_for_backward(lambda: adapter(features, masks[None]))
    lean, products = kept_for_backward(lambda: SparseAdapter(adapter, features)(masks))
    adapter.checkpoint_blocks = True
    leanest, more = kept_for_backward(lambda: SparseAdapter(adapter, features)(masks))
    # A cell of a block: the convolution's input and output, the hidden layer (4 C), what the layer scale multiplies;
    # with checkpoint_blocks not the hidden layer. The rest is the mask's stem and the read-out.
    assert 7 < lean / (channels * rows) < 8
    assert 3 < leanest / (channels * rows) < 4
    assert direct / (channels * rows) > 14 * count / (count + 2)
    # Of a block's MLP the backward pass has four products of C x 4 C, with checkpoint_blocks a fifth one.
    one = 4 * channels * channels * rows
    assert 4 * one < products < 4.05 * one
    assert more - products == one


@torch.no_grad()
@pytest.mark.parametrize("seed", range(6))
def test_half_precision_takes_no_other_mask_for_the_empty_or_the_full_one(seed):
    """Sixteen units in the last place would, in bfloat16: an eighth of the largest value."""
    torch.manual_seed(seed)
    adapter = adapter_of().requires_grad_(False)
    for layer in adapter.patchify:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    masks = F.avg_pool2d(torch.stack(list(masks_of().values()))[:, None].float(), 9, 1, 4)[:, 0]
    features = torch.randn(1, 24, *CELLS)
    true = adapter(features, masks[None])[0]
    with torch.autocast("cpu", torch.bfloat16):
        direct, sparse = adapter(features, masks[None])[0], SparseAdapter(adapter, features)(masks)
    error, theirs = (sparse.float() - true).abs().max(), (direct.float() - true).abs().max()
    assert error < 2 * theirs + 1e-3


@torch.no_grad()
def test_no_masks():
    features = torch.randn(1, 24, *CELLS)
    assert SparseAdapter(adapter_of(), features)(torch.zeros(0, 52, 72)).shape == (0, 4, *CELLS)


@torch.no_grad()
def test_a_few_masks_are_computed_directly():
    pooler, masks = AdapterPooler(adapter_of()), torch.stack(list(masks_of().values())).float()
    features = ClipFeatures({}, torch.randn(1, 8, *CELLS), torch.randn(1, 24, *CELLS))
    calls = []
    pooler.adapter.register_forward_hook(lambda *_: calls.append(1))
    few, many = (pooler.embed(features, masks[None, :count], lambda x: x) for count in (3, 12))
    assert len(calls) == 1
    torch.testing.assert_close(few, many[:, :3], rtol=0, atol=1e-6)


@torch.no_grad()
def test_equal_masks_are_computed_once():
    pooler, mask = AdapterPooler(adapter_of(num_blocks=1)), masks_of()["disc"]
    block, rows = pooler.adapter.blocks[0], []
    block.residual = lambda y, given=block.residual: (rows.append(len(y)), given(y))[1]
    features = ClipFeatures({}, torch.randn(1, 8, *CELLS), torch.randn(1, 24, *CELLS))
    known = 2 * CELLS[0] * CELLS[1]  # the empty and the full mask
    SparseAdapter(pooler.adapter, features.projected)(mask[None])
    once = sum(rows) - known
    rows.clear()
    several = pooler.embed(features, mask.float().expand(1, 5, -1, -1), lambda x: x)
    assert sum(rows) - known == once > 0
    assert torch.equal(several[0, 0], several[0, 4])


@torch.no_grad()
def test_a_batch_is_its_images_and_chunks_change_nothing():
    pooler, masks = AdapterPooler(adapter_of()), torch.stack(list(masks_of().values()))
    dense, projected = torch.randn(2, 8, *CELLS), torch.randn(2, 24, *CELLS)
    logits = torch.stack([masks, masks.flip(0)]).float() * 20 - 10
    together = pooler(torch.zeros(2, 3, 1, 1), ClipFeatures({}, dense, projected), logits, lambda x: x)
    pooler.chunk = 5
    for number in (0, 1):
        part = slice(number, number + 1)
        alone = pooler(
            torch.zeros(1, 3, 1, 1), ClipFeatures({}, dense[part], projected[part]), logits[part], lambda x: x
        )
        torch.testing.assert_close(together[part], alone, rtol=0, atol=1e-6)
    direct = [
        pool_with_maps(pooler.adapter(one[None], some[None] > 0)[0], features, lambda x: x)
        for one, some, features in zip(projected, logits, dense, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(direct), rtol=0, atol=1e-6)
