"""Weights in fewer bits: what is kept in them, what stays in float32, how far results move, and what is refused."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_segmenter import CLASSES, small

import maskadapter
from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub.model_source import ModelSource
from maskadapter.models import precision as module
from maskadapter.models.builder import Architecture, build
from maskadapter.models.int8_linear import Int8Linear
from maskadapter.models.precision import choose_precision, keep_in, refuse_misfit
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.models.sparse_adapter import SparseAdapter

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)


@pytest.fixture
def units(monkeypatch):
    """Choose what the processor has."""
    return lambda *names: monkeypatch.setattr(module, "has_units", lambda precision, device: precision in names)


def sharp(maft: bool = False) -> OpenVocabularySegmenter:
    """A small model whose adapter's blocks do something."""
    model = small(maft=maft).requires_grad_(False)
    for block in model.pooler.adapter.blocks:
        torch.nn.init.constant_(block.gamma, 0.5)
    return model


def kinds(part: torch.nn.Module) -> set[torch.dtype]:
    return {p.dtype for p in part.parameters() if p.ndim > 1}


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
@pytest.mark.parametrize("maft", [False, True])
def test_16_bits(precision, dtype, maft) -> None:
    exact = sharp(maft)
    model = keep_in(copy.deepcopy(exact), precision)
    assert model.precision == precision
    adapter, decoder = model.pooler.adapter, model.generator.pixel_decoder
    for part in (model.clip.model, adapter.fuse, adapter.blocks, decoder.output, decoder.layers[0].linear1):
        assert kinds(part) == {dtype}
    for part in (adapter.patchify, model.generator.mask_decoder, decoder.layers[0].self_attn.sampling_offsets):
        assert kinds(part) == {torch.float32}
    norms = [m for m in model.modules() if isinstance(m, torch.nn.LayerNorm | torch.nn.GroupNorm)]
    assert {p.dtype for norm in norms for p in norm.parameters()} == {torch.float32}
    assert model.clip.logit_scale.dtype == decoder.level_embed.dtype == torch.float32

    ours, theirs = model.encode_image(IMAGE), exact.encode_image(IMAGE)
    results = [*ours.features.pyramid.values(), ours.features.dense, ours.features.projected, ours.mask_embeddings]
    proposals = [ours.proposals.mask_logits, ours.proposals.class_embeddings]
    assert {tensor.dtype for tensor in (*results, *proposals)} == {torch.float32}
    assert not torch.equal(ours.mask_embeddings, theirs.mask_embeddings)
    assert F.cosine_similarity(ours.mask_embeddings, theirs.mask_embeddings, dim=-1).min() > 0.99
    text = model.encode_text(CLASSES).text_embeddings
    assert text.dtype == torch.float32
    assert (text.norm(dim=-1) - 1).abs().max() < 1e-6
    assert F.cosine_similarity(text, exact.encode_text(CLASSES).text_embeddings, dim=-1).min() > 0.999
    probs = model.classify(IMAGE, np.ones((1, 70, 110), bool), CLASSES).probs
    assert np.abs(probs - exact.classify(IMAGE, np.ones((1, 70, 110), bool), CLASSES).probs).max() < 0.02
    assert model.segment(IMAGE, CLASSES).semantic().shape == (70, 110)


def test_16_bits_take_half_of_the_memory() -> None:
    with torch.device("meta"):
        model = build(Architecture("fcclip-large", "adapter"))
        before = sum(p.numel() * p.itemsize for p in model.parameters())
        after = sum(p.numel() * p.itemsize for p in keep_in(model, "bf16").parameters())
    assert after < 0.53 * before  # the mask decoder stays, and vectors


def test_the_sparse_adapter_agrees_with_the_whole_one_in_16_bits() -> None:
    pooler = keep_in(sharp(), "bf16").pooler
    features, masks = torch.randn(1, 32, 12, 16), torch.zeros(5, 48, 64)
    for number, mask in enumerate(masks):
        mask[8 : 10 + 6 * number, 4 : 20 + 6 * number] = 1
    with torch.inference_mode():
        sparse, whole = SparseAdapter(pooler.adapter, features), pooler.at_every_location(features[0], masks)
        ours = sparse(masks)
        estimate = sparse.estimate(masks)
    assert ours.dtype == whole.dtype == estimate.dtype == torch.float32
    assert (ours - whole).abs().max() < 0.02 * whole.abs().max()


@pytest.mark.parametrize("base", ["bf16", "fp32"])
def test_int8(units, monkeypatch, base) -> None:
    units("int8", base)
    monkeypatch.setattr(module, "_SMALLEST", 32)
    exact = sharp()
    model = keep_in(copy.deepcopy(exact), "int8")
    replaced = [name for name, part in model.named_modules() if isinstance(part, Int8Linear)]
    assert any(name.startswith("pooler.adapter.blocks") for name in replaced)
    assert any(name.startswith("clip.model.visual.head") for name in replaced)
    assert not any("transformer" in name or name.startswith("generator") for name in replaced)
    ours, theirs = model.encode_image(IMAGE), exact.encode_image(IMAGE)
    assert ours.mask_embeddings.dtype == torch.float32
    assert F.cosine_similarity(ours.mask_embeddings, theirs.mask_embeddings, dim=-1).min() > 0.98
    assert not torch.equal(ours.mask_embeddings, theirs.mask_embeddings)


def test_rows_of_8_bits_have_scales_of_their_own() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 48)
    linear.weight.data *= torch.logspace(-3, 3, 48)[:, None]
    x = torch.randn(2, 9, 64) * torch.logspace(-2, 2, 9)[:, None]
    x[0, 0] = 0
    quantized = Int8Linear(linear, torch.float32)(x)
    products, right = quantized - linear.bias, linear(x) - linear.bias
    assert quantized.shape == (2, 9, 48)
    assert torch.equal(quantized[0, 0], linear.bias)
    assert Int8Linear(linear, torch.bfloat16)(x[:, :0]).shape == (2, 0, 48)
    size = right.flatten(0, 1)[1:].norm(dim=0)
    assert ((products - right).flatten(0, 1)[1:].norm(dim=0) < 0.04 * size).all()
    assert ((products - right)[1].norm(dim=1) < 0.04 * right[1].norm(dim=1)).all()


def test_pruned_proposals_and_given_masks() -> None:
    model = keep_in(sharp(), "bf16")
    model.inference = replace(model.inference, prune_proposals=True)
    assert model.segment(IMAGE, CLASSES).panoptic().ids.shape == (70, 110)
    masks = np.arange(5 * 70 * 110).reshape(5, 70, 110) % 7 < 3
    assert np.isfinite(model.classify(IMAGE, masks, CLASSES).probs).all()
    assert model.activation_maps(IMAGE, masks[:1]).weights.dtype == np.float32


@pytest.mark.parametrize("convert", ["half", "bfloat16", "double"])
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_conversion_by_the_caller_is_still_refused(units, precision, convert) -> None:
    units("int8", "bf16")
    model = getattr(keep_in(sharp(), precision), convert)()
    with pytest.raises(MaskAdapterError, match="was converted to torch"):
        model.segment(IMAGE, CLASSES)


@pytest.mark.parametrize(
    ("present", "asked", "architecture", "chosen"),
    [
        (("bf16", "int8"), "auto", "fcclip-large", "bf16"),
        (("int8",), "auto", "fcclip-large", "fp32"),
        (("bf16", "int8"), "auto", "tiny", "fp32"),
        (("bf16", "int8"), "auto", None, "fp32"),
        (("bf16", "int8"), "bf16", "tiny", "bf16"),
        (("int8",), "int8", "tiny", "int8"),
        ((), "fp32", "tiny", "fp32"),
    ],
)
def test_what_a_cpu_gets(units, present, asked, architecture, chosen) -> None:
    units(*present)
    assert choose_precision(asked, architecture, "cpu") == chosen


@pytest.mark.parametrize(
    ("bf16", "capability", "chosen"), [(True, (9, 0), "bf16"), (False, (7, 5), "fp16"), (False, (6, 1), "fp32")]
)
def test_what_a_gpu_gets(monkeypatch, bf16, capability, chosen) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", "maftplus-base", "cuda") == chosen
    assert choose_precision("auto", "tiny", "cuda") == choose_precision("auto", "maftplus-base", "mps") == "fp32"


@pytest.mark.parametrize(
    ("precision", "device", "message"),
    [
        ("fp16", "cpu", "fp16 is for GPUs, and slower on a CPU"),
        ("bf16", "cpu", "this cpu has no units for bf16"),
        ("int8", "cpu", "this cpu has no units for int8"),
        ("int8", "mps", "int8 is for CPUs, and the device is mps"),
    ],
)
def test_a_precision_that_only_costs_is_refused(units, precision, device, message) -> None:
    units()
    with pytest.raises(MaskAdapterError, match=message) as refused:
        refuse_misfit(precision, device)
    assert "use fp32, or auto" in str(refused.value)


def test_load(units, tmp_path) -> None:
    units("bf16")
    with pytest.raises(MaskAdapterError, match="no precision 'fp8': choose from auto, fp32"):
        maskadapter.load(precision="fp8")
    with pytest.raises(MaskAdapterError, match="in it, precision too"):
        maskadapter.load(ModelSource(), precision="bf16")
    with pytest.raises(MaskAdapterError, match="fp16 is for GPUs"):  # before a file is looked for
        maskadapter.load("gone.safetensors", precision="fp16")
    assert maskadapter.load().precision == "fp32"
    loaded = maskadapter.load(ModelSource(pooler="adapter", precision="bf16"))
    assert loaded.precision == "bf16"
    assert kinds(loaded.pooler.adapter.blocks) == {torch.bfloat16}
    assert {b.dtype for b in loaded.buffers() if b.is_floating_point()} == {torch.float32}  # of batch normalization
    ours = loaded.segment(IMAGE, CLASSES, background=None)
    assert ours.semantic().shape == (70, 110)
    assert np.isfinite(loaded.classify(IMAGE, np.ones((1, 70, 110), bool), CLASSES).probs).all()
    with pytest.raises(CheckpointError, match="were rounded to bf16: to save it, load it with precision='fp32'"):
        maskadapter.save(loaded, tmp_path / "own.safetensors", "tiny")
    assert not list(tmp_path.iterdir())
