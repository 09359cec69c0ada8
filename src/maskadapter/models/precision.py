"""Precision of a model's weights: what each means, which one a device gets, and how a model is kept in it.

The heavy parts, CLIP, the pixel decoder and Mask-Adapter, keep their matrices in fewer bits and take and return
float32. Normalizations, softmaxes over locations, places where deformable attention samples, the mask decoder, the
ensemble and all that is small stay in float32."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from maskadapter.errors import MaskAdapterError
from maskadapter.models.int8_linear import Int8Linear
from maskadapter.models.mask_adapter import ConvNeXtBlock
from maskadapter.models.names import Precision, PrecisionName
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead

if TYPE_CHECKING:
    from maskadapter.models.segmenter import OpenVocabularySegmenter

AGREED = ("fcclip-large", "maftplus-base", "maftplus-large")
"""The architectures that ``auto`` keeps in 16 bits: it is faster, at least 99.5 % of the pixels keep their class, and
the mIoU moves by at most 0.1. Measured by ``tools/precision.py``: of these models with random weights, pixels alone."""

# What multiplies numbers of a type, by PyTorch's names of a processor's features.
_UNITS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "int8": ("avx512_vnni", "avx_vnni", "amx_int8")}
_SMALLEST = 384  # inputs and outputs of a linear layer below which 8 bits are not faster than 16


def choose_precision(asked: PrecisionName, architecture: str | None, device: str | torch.device) -> Precision:
    """Return the precision of a model on a device. architecture: None for a CLIP alone.

    ``"auto"`` is fp32, but for an architecture of ``AGREED`` bf16 on a CPU or a CUDA GPU that has units for it, and
    fp16 on an older GPU. Raises MaskAdapterError as ``refuse_misfit``."""
    if asked != "auto":
        refuse_misfit(asked, device)
        return asked
    kind = torch.device(device).type
    if architecture not in AGREED or kind not in ("cpu", "cuda"):
        return "fp32"
    if has_units("bf16", device):
        return "bf16"
    return "fp16" if kind == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"


def refuse_misfit(precision: PrecisionName, device: str | torch.device) -> None:
    """Raise MaskAdapterError, one line, for a precision that is slower on this device than fp32."""
    kind, advice = torch.device(device).type, "use fp32, or auto, which chooses"
    if precision == "fp16" and kind == "cpu":
        raise MaskAdapterError(f"fp16 is for GPUs, and slower on a CPU than fp32: {advice}")
    if precision == "int8" and kind != "cpu":
        raise MaskAdapterError(f"int8 is for CPUs, and the device is {kind}: {advice}")
    if precision in _UNITS and kind in ("cpu", "cuda") and not has_units(precision, device):
        raise MaskAdapterError(
            f"this {kind} has no units for {precision} and is slower with it than with fp32: {advice}"
        )


def has_units(precision: PrecisionName, device: str | torch.device) -> bool:
    """Whether a CPU or a CUDA GPU has units for bf16 or int8; False where PyTorch does not say."""
    if torch.device(device).type == "cuda":
        return precision == "bf16" and torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(features.get(name) for name in _UNITS[precision])


def keep_in(segmenter: "OpenVocabularySegmenter", precision: Precision) -> "OpenVocabularySegmenter":
    """Keep the matrices of a float32 model's heavy parts in a precision, in place, and return it.

    bf16, fp16: 16 bits. int8: the large linear layers of image encoder and adapter in 8 bits; the others as bf16 where
    the processor has units for it, else as fp32."""
    if precision == "fp32":
        return segmenter
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    if precision == "int8" and not has_units("bf16", "cpu"):
        half = torch.float32
    clip, generator, pooler = segmenter.clip.model, segmenter.generator, segmenter.pooler
    adapter = pooler.adapter if isinstance(pooler, AdapterPooler) else None
    adapters = [] if adapter is None else [adapter.fuse, adapter.blocks, adapter.final]
    # Not its own parameters, the embeddings of the levels, which move the places where it samples.
    decoders = [*generator.pixel_decoder.children()] if isinstance(generator, Mask2FormerHead) else []
    if precision == "int8":
        for part in (clip.visual, *adapters):
            _replace_linear(part, half)
    for part in (clip, *adapters, *decoders):
        _round(part, half)
    segmenter.precision = precision
    return segmenter


def _round(part: nn.Module, dtype: torch.dtype) -> None:
    for name, module in part.named_modules():
        if name.endswith("sampling_offsets"):
            continue
        for parameter in module.parameters(recurse=False):
            # An adapter's layer scale too: or the sum of a block would be float32 again, and twice as large.
            if parameter.ndim > 1 or isinstance(module, ConvNeXtBlock):
                parameter.data = parameter.data.to(dtype)


def _replace_linear(part: nn.Module, dtype: torch.dtype) -> None:
    for module in list(part.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear and min(child.weight.shape) >= _SMALLEST:
                setattr(module, name, Int8Linear(child, dtype))
