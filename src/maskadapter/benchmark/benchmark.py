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
from maskadapter.benchmark.stages import PARTS, Answer, Computation, answer
from maskadapter.errors import MaskAdapterError
from maskadapter.models.build import MODELS
from maskadapter.models.embedding import MaskAdapterEmbedding
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
    takes. proposals: how many at most, from 1, and they are the embedded model's: see ``Borrowed``.

    device: where, ``"cpu"``, ``"cuda"`` ...

    Returns numbers ready for JSON: ``adapter_speedup_exact``, ``adapter_speedup_default``, ``segment_speedup_default``
    (seconds of the direct computation over those of the other; what is not the adapter is the same in all of them),
    ``agreement_default`` (share of pixels that get the class that the direct computation gives; of random weights it
    says little), ``peak_memory_gb_default`` (of the first picture, beyond the weights), then the details.
    Raises MaskAdapterError for a size, device or model that cannot be measured, ImageError for the pictures.
    """
    if size % 32 or size < 64:
        raise MaskAdapterError(f"size is {size}; a multiple of 32 of at least 64 is needed")
    hub.check_device(device)
    found = photographs(pictures)
    segmenter = _segmenter(model, device)
    assert segmenter.generator is not None
    segmenter.generator = lender = Borrowed(segmenter.generator, proposals).to(device)  # type: ignore[arg-type]
    encoded = _vocabulary(segmenter, classes)
    clocks = {computation: Clock(torch.device(device)) for computation in COMPUTATIONS}
    rows: list[dict[str, Any]] = []
    with bar("pictures", len(found)) as advance:
        for number, (name, read) in enumerate(found.items()):
            picture = _Picture(segmenter, lender, encoded, name, read(), size)
            if not rows:
                # What comes first in a process is slower, and memory that was taken once looks free ever after.
                with peak_memory(torch.device(device)) as memory:
                    picture.answer("default", Clock(torch.device(device)))
            # In another order for each picture, so that none profits from what another left behind.
            turns = [COMPUTATIONS[(number + turn) % len(COMPUTATIONS)] for turn in range(len(COMPUTATIONS))]
            rows.append(picture.compared({turn: picture.answer(turn, clocks[turn]) for turn in turns}))
            advance(1)
    return {
        **_summary(clocks, rows),
        "peak_memory_gb_default": memory[0],
        **_details(clocks, rows),
        **_facts(model, segmenter, encoded, size, proposals, device),
    }


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


class _Picture:
    """One picture at the network's size."""

    def __init__(
        self,
        segmenter: OpenVocabularySegmenter,
        lender: Borrowed,
        encoded: EncodedVocabulary,
        name: str,
        picture: np.ndarray,
        size: int,
    ) -> None:
        self._segmenter, self._encoded, self._name = segmenter, encoded, name
        original = (picture.shape[0], picture.shape[1])
        resized = InputSize(size, size).of(original)
        device = segmenter.clip.logit_scale.device
        self._batch = to_batch([resize(picture, resized)], segmenter.clip.SIZE_DIVISOR, device)
        self._frame = Frame((self._batch.shape[-2], self._batch.shape[-1]), resized, original)
        lender.prepare(self._batch, encoded)
        self._proposals = lender.count

    def answer(self, computation: Computation, clock: Clock) -> Answer:
        return answer(self._segmenter, self._batch, self._frame, self._encoded, computation, clock)

    def compared(self, answers: Mapping[Computation, Answer]) -> dict[str, Any]:
        """How far the others are from the direct computation."""
        direct = answers["direct"]
        row: dict[str, Any] = {"name": self._name, "size": list(self._frame.picture), "proposals": self._proposals}
        for computation in COMPUTATIONS[1:]:
            other = answers[computation]
            row[f"agreement, {computation}"] = float((other.labels == direct.labels).mean())
            row[f"largest difference of weights, {computation}"] = float((other.weights - direct.weights).abs().max())
        return row


def _seconds(clocks: Mapping[Computation, Clock], computation: Computation, parts: Sequence[str] = PARTS) -> float:
    return sum(clocks[computation].seconds[part] for part in parts)


def _summary(clocks: Mapping[Computation, Clock], rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    def faster(computation: Computation, parts: Sequence[str] = PARTS) -> float:
        return _seconds(clocks, "direct", parts) / _seconds(clocks, computation, parts)

    return {
        "adapter_speedup_exact": faster("exact", ["adapter"]),
        "adapter_speedup_default": faster("default", ["adapter"]),
        "segment_speedup_default": faster("default"),
        "agreement_default": mean(row["agreement, default"] for row in rows),
    }


def _details(clocks: Mapping[Computation, Clock], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds a picture by part and computation, and the pictures."""
    parts = {**{part: [part] for part in PARTS}, "all": list(PARTS)}
    seconds = {
        name: {computation: _seconds(clocks, computation, which) / len(rows) for computation in COMPUTATIONS}
        for name, which in parts.items()
    }
    return {"seconds": seconds, "pictures": list(rows)}


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
