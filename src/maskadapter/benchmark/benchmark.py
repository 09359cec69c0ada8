"""``benchmark``: the direct computation, the exact one and the default one, side by side on the same pictures."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import nn

from maskadapter import hub
from maskadapter.benchmark.borrowed import Borrowed
from maskadapter.benchmark.clock import Clock, peak_memory
from maskadapter.benchmark.pictures import photographs
from maskadapter.benchmark.stages import PARTS, answer
from maskadapter.errors import MaskAdapterError
from maskadapter.models.build import MODELS
from maskadapter.models.embedding import Computation, MaskAdapterEmbedding
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.preprocess import InputSize, resize, to_batch
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.progress import bar
from maskadapter.resampling import Frame
from maskadapter.vocabulary import Vocabulary

COMPUTATIONS: tuple[Computation, ...] = ("direct", "exact", "default")

# A layer scale as trained blocks have it; that of new ones, 1e-6, would make them do nothing.
_LAYER_SCALE = 0.1


def benchmark(
    model: str = "fcclip-large",
    *,
    size: int = 896,
    pictures: str | Path | None = None,
    classes: Any = "ade20k-150",
    proposals: int = 250,
    device: str = "cpu",
) -> dict[str, Any]:
    """Time the parts of a model on photographs, with random weights or those of a file.

    model: a name, for random weights of its shapes, or a file of weights. size: pixels of the longer side.
    pictures: a folder; None for five photographs that scikit-image brings along. classes: whatever ``Vocabulary.of``
    takes. proposals: how many, and they are the embedded model's: see ``Borrowed``.

    Returns numbers ready for JSON: ``adapter_speedup_exact``, ``adapter_speedup_default``, ``segment_speedup_default``
    (seconds of the direct computation over those of the other), ``agreement_default`` (share of pixels that get the
    class that the direct computation gives), ``peak_memory_gb_default`` (beyond the weights), then the details.
    """
    if size % 32 or size < 64:
        raise MaskAdapterError(f"size is {size}; a multiple of 32 of at least 64 is needed")
    segmenter = _segmenter(model, device)
    assert segmenter.generator is not None
    segmenter.generator = lender = Borrowed(segmenter.generator, proposals).to(device)  # type: ignore[arg-type]
    encoded = _vocabulary(segmenter, classes)
    found = photographs(pictures)
    clocks = {computation: Clock(torch.device(device)) for computation in COMPUTATIONS}
    rows: list[dict[str, Any]] = []
    with bar("pictures", len(found)) as advance:
        for name, picture in found.items():
            rows.append(_picture(segmenter, lender, encoded, name, picture, size, clocks))
            advance(1)
    return {**_summary(clocks, rows, len(found)), **_facts(model, segmenter, encoded, size, proposals, device)}


def _segmenter(model: str, device: str) -> OpenVocabularySegmenter:
    """Random weights of a named model's shapes, or the weights of a file."""
    if model in MODELS:
        torch.manual_seed(0)
        segmenter = MODELS[model]("adapter").eval().requires_grad_(False).to(device)
        for part in segmenter.embedding.modules():  # type: ignore[attr-defined]
            if hasattr(part, "gamma"):
                nn.init.constant_(part.gamma, _LAYER_SCALE)
    else:
        segmenter = hub.load(model, device=device)
    if not isinstance(segmenter.embedding, MaskAdapterEmbedding) or segmenter.generator is None:
        raise MaskAdapterError(f"{model} has no adapter or no mask generator: there is nothing to compare")
    return segmenter


def _vocabulary(segmenter: OpenVocabularySegmenter, classes: Any) -> EncodedVocabulary:
    """With the text tower's own rows where weights are real; random unit vectors say as much for random weights, and
    hundreds of names need not go through a large text tower for them."""
    if segmenter.text_cache is not None:
        return segmenter.encode(classes)
    vocabulary = Vocabulary.of(classes)
    rows = torch.randn(len(vocabulary.synonyms), segmenter.clip.embed_dim, generator=torch.Generator().manual_seed(0))
    return EncodedVocabulary(vocabulary, nn.functional.normalize(rows, dim=-1).to(segmenter.clip.logit_scale))


def _picture(
    segmenter: OpenVocabularySegmenter,
    lender: Borrowed,
    encoded: EncodedVocabulary,
    name: str,
    picture: np.ndarray,
    size: int,
    clocks: Mapping[Computation, Clock],
) -> dict[str, Any]:
    """One picture by every computation."""
    device = segmenter.clip.logit_scale.device
    original = (picture.shape[0], picture.shape[1])
    resized = InputSize(size, size).of(original)
    batch = to_batch([resize(picture, resized)], segmenter.clip.SIZE_DIVISOR, device)
    frame = Frame(padded=(batch.shape[-2], batch.shape[-1]), resized=resized, picture=original)
    lender.prepare(batch, encoded)
    row: dict[str, Any] = {"name": name, "size": list(original)}
    answers = {}
    for computation in COMPUTATIONS:
        with peak_memory(device) as memory:
            answers[computation] = answer(segmenter, batch, frame, encoded, computation, clocks[computation])
        row[f"peak memory, {computation}"] = memory[0]
    direct = answers["direct"]
    for computation in COMPUTATIONS[1:]:
        other = answers[computation]
        row[f"agreement, {computation}"] = float((other.labels == direct.labels).mean())
        row[f"largest difference of weights, {computation}"] = float((other.weights - direct.weights).abs().max())
    return row


def _summary(clocks: Mapping[Computation, Clock], rows: Sequence[Mapping[str, Any]], count: int) -> dict[str, Any]:
    def seconds(computation: Computation, part: str | None = None) -> float:
        spent = clocks[computation].seconds
        return (sum(spent.values()) if part is None else spent[part]) / count

    parts = {part: {computation: seconds(computation, part) for computation in COMPUTATIONS} for part in (*PARTS, None)}
    return {
        "adapter_speedup_exact": seconds("direct", "adapter") / seconds("exact", "adapter"),
        "adapter_speedup_default": seconds("direct", "adapter") / seconds("default", "adapter"),
        "segment_speedup_default": seconds("direct") / seconds("default"),
        "agreement_default": mean(row["agreement, default"] for row in rows),
        "peak_memory_gb_default": max(row["peak memory, default"] for row in rows),
        "seconds": {part or "all": values for part, values in parts.items()},
        "pictures": list(rows),
    }


def _facts(
    model: str, segmenter: OpenVocabularySegmenter, encoded: EncodedVocabulary, size: int, proposals: int, device: str
) -> dict[str, Any]:
    on_gpu = torch.device(device).type == "cuda"
    return {
        "model": model if model not in MODELS else f"{model}, random weights, layer scale {_LAYER_SCALE}",
        "proposals": f"{proposals}, the embedded model's",
        "size": size,
        "classes": len(encoded.vocabulary),
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "precision": str(segmenter.clip.logit_scale.dtype).removeprefix("torch."),
        "libraries": {name: version(name) for name in ("maskadapter", "torch", "timm", "open_clip_torch")},
        "python": platform.python_version(),
    }


def _processor() -> str:
    """As Linux tells it, or as Python does."""
    try:
        lines: Iterator[str] = iter(Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines())
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
