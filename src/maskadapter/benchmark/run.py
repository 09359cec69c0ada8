"""``benchmark``: the direct computation, the exact one and the default one, side by side on the same images."""

import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskadapter.benchmark.borrowed import Borrowed
from maskadapter.benchmark.clock import Clock, Counter, peak_memory
from maskadapter.benchmark.photos import photographs
from maskadapter.benchmark.segments import compare_on_segments, draw_segments
from maskadapter.benchmark.stages import PARTS, Answer, Computation, Input, answer
from maskadapter.errors import MaskAdapterError
from maskadapter.hub import loading as hub
from maskadapter.models.build import MODELS, Architecture, build
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposals.superpixels.region_head import RegionHead
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.system.progress import bar
from maskadapter.vocabulary.vocabulary import Vocabulary

COMPUTATIONS: tuple[Computation, ...] = ("direct", "exact", "default")

Precision = Literal["fp32", "bf16"]

# Images that are timed; on further ones only the answers are compared.
TIMED = 5

# The class map's are left out: one mask says nothing of them.
COUNTED = PARTS[:-1]

# A layer scale as trained blocks have it; that of new ones, 1e-6, would make them do nothing.
_LAYER_SCALE = 0.1


def benchmark(
    model: str = "fcclip-large",
    *,
    size: int = 896,
    images: str | Path | None = None,
    segments: str | Path | None = None,
    classes: Any = "ade20k-150",
    proposals: int = 250,
    device: str = "cpu",
    precision: Precision = "fp32",
) -> dict[str, Any]:
    """Time the parts of a model on photographs, with random weights or those of a file.

    model: a name, for random weights of its shapes, or a file of weights. Random weights propose and name nothing that
    makes sense: proposals, and which of them are computed by default, are then those of the embedded model with its
    small adapter, and so is the agreement; the time is that of the large shapes.
    size: pixels of the longer side. images: a folder, of which ``TIMED`` are timed; None for five photographs that
    scikit-image brings along. segments: a folder of COCO panoptic: the adapter is timed on as many segments too.
    classes: whatever ``Vocabulary.of`` takes. proposals: how many at most, from 1; of a file, what it proposes.
    device: where, ``"cpu"``, ``"cuda"`` ... precision: ``"bf16"`` computes what is timed under PyTorch's autocast.

    Returns numbers ready for JSON: ``adapter_speedup_exact`` (on the segments where they are given),
    ``adapter_speedup_default``, ``segment_speedup_default`` (seconds of the direct computation over those of the other;
    image encoder and mask generator are the same in all of them), ``agreement_default`` (share of pixels that get the
    class that the direct computation gives), ``peak_memory_gb_default`` (of the first image, beyond the weights),
    then the details, among them ``images_per_second_default``.
    Raises MaskAdapterError for a size, device or model that cannot be measured, ImageError for the images.
    """
    if size % 32 or size < 64:
        raise MaskAdapterError(f"size is {size}; a multiple of 32 of at least 64 is needed")
    hub.check_device(device)
    found = photographs(images)
    segmenter, judge = models(model, proposals, device)
    run = _Run(segmenter, judge, classes, InputSize(size, size), precision)
    with bar("images", len(found)) as advance:
        for number, (name, read) in enumerate(found.items()):
            image = read()
            if number == 0 and segments is not None:
                run.on_segments(image, Path(segments), proposals)
            run.image(name, image, timed=number < TIMED)
            advance(1)
    return {**run.report(), "precision": precision, **_facts(model, run.encoded, size, proposals, device)}


def models(model: str, proposals: int, device: str) -> tuple[OpenVocabularySegmenter, OpenVocabularySegmenter]:
    """The model that is timed, and the one whose answers are compared: the same, or for random weights the embedded
    one."""
    segmenter = _segmenter(model, device)
    if model not in MODELS:
        return segmenter, segmenter
    judge = hub.load("tiny", pooler="adapter", device=device)
    assert isinstance(judge.generator, RegionHead)
    judge.generator.merging = replace(judge.generator.merging, num_proposals=proposals)
    assert isinstance(segmenter.generator, nn.Module)
    segmenter.generator = Borrowed(segmenter.generator)
    return segmenter, judge


def _segmenter(model: str, device: str) -> OpenVocabularySegmenter:
    """Random weights of a named model's shapes, or the weights of a file."""
    if model in MODELS:
        torch.manual_seed(0)
        segmenter = build(Architecture(model, "adapter")).eval().requires_grad_(False).to(device)
        for part in segmenter.pooler.modules():  # type: ignore[attr-defined]
            if hasattr(part, "gamma"):
                nn.init.constant_(part.gamma, _LAYER_SCALE)
    else:
        segmenter = hub.load(model, device=device)
    if not isinstance(segmenter.pooler, AdapterPooler) or segmenter.generator is None:
        raise MaskAdapterError(f"{model} has no adapter or no mask generator: there is nothing to compare")
    return segmenter


def encoded_for(segmenter: OpenVocabularySegmenter, classes: Any) -> EncodedVocabulary:
    """With the text encoder's own rows where weights are real; random unit vectors say as much for random weights, and
    hundreds of names need not go through a large text encoder for them."""
    if segmenter.text_cache is not None:
        return segmenter.encode_text(classes)
    vocabulary = Vocabulary.of(classes)
    rows = torch.randn(len(vocabulary.synonyms), segmenter.clip.embed_dim, generator=torch.Generator().manual_seed(0))
    return EncodedVocabulary(vocabulary, nn.functional.normalize(rows, dim=-1).to(segmenter.clip.logit_scale))


class _Run:
    """What is measured, image by image.

    segmenter, judge: see ``models``. size: of the segmenter's input.
    """

    def __init__(
        self,
        segmenter: OpenVocabularySegmenter,
        judge: OpenVocabularySegmenter,
        classes: Any,
        size: InputSize,
        precision: Precision,
    ) -> None:
        self._segmenter, self._judge, self._size, self._precision = segmenter, judge, size, precision
        self._device = segmenter.clip.logit_scale.device
        self.encoded = encoded_for(segmenter, classes)
        self._words = self.encoded if judge is segmenter else judge.encode_text(self.encoded.vocabulary)
        self._clocks = {computation: Clock(self._device) for computation in COMPUTATIONS}
        self._counters = {computation: Counter() for computation in COMPUTATIONS}
        self._segments: dict[str, Any] = {}
        self._memory: list[float] = []
        self._rows: list[dict[str, Any]] = []

    def on_segments(self, image: np.ndarray, root: Path, count: int) -> None:
        given, clock = Input.of(self._segmenter, image, self._size), Clock(self._device)
        segments = draw_segments(root, count, given.sizes)
        difference = compare_on_segments(self._segmenter, given, segments, clock)
        self._segments = {
            "number": len(segments),
            "seconds": dict(clock.seconds),
            "speedup_exact": clock.seconds["direct"] / clock.seconds["exact"],
            "largest difference, exact": difference,
        }

    def image(self, name: str, image: np.ndarray, timed: bool) -> None:
        row: dict[str, Any] = {"name": name, "size": list(image.shape[:2])}
        chosen = None
        given = Input.of(self._segmenter, image, self._size)
        if isinstance(self._segmenter.generator, Borrowed) or not timed:
            asked = Input.of(self._judge, image)
            idle = Clock(self._device)
            direct, default = (answer(self._judge, asked, self._words, way, idle) for way in ("direct", "default"))
            chosen = default.computed
            row |= _compared(direct, default)
            if isinstance(self._segmenter.generator, Borrowed):
                self._segmenter.generator.lend(default.proposals, default.class_logits, asked.sizes, given.sizes)
        if timed:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
                row = self._timed(given, chosen) | row
        self._rows.append(row)

    def _timed(self, given: Input, chosen: Tensor | None) -> dict[str, Any]:
        if not self._memory:
            self._count(given, chosen)
        # In another order for each image, so that none profits from what another left behind.
        first = len(self._rows) % len(COMPUTATIONS)
        answers = {
            way: answer(self._segmenter, given, self.encoded, way, self._clocks[way], chosen)
            for way in COMPUTATIONS[first:] + COMPUTATIONS[:first]
        }
        apart = (answers["exact"].logits - answers["direct"].logits).abs().max()
        return {
            "timed": True,
            "largest difference of logits, exact": float(apart),
            **_compared(answers["direct"], answers["default"]),
        }

    def _count(self, given: Input, chosen: Tensor | None) -> None:
        """Memory and multiplications. Nothing is timed: what comes first in a process is slower. And it comes first:
        memory that was taken once looks free ever after."""
        with peak_memory(self._device) as self._memory:
            answer(self._segmenter, given, self.encoded, "default", Clock(self._device), chosen)
        default = answer(self._segmenter, given, self.encoded, "default", self._counters["default"], chosen)
        answer(self._segmenter, given, self.encoded, "exact", self._counters["exact"])
        answer(self._segmenter, given, self.encoded, "direct", self._counters["direct"], at_most=1)
        # All masks are alike there, and counting them all would take as long as computing them.
        self._counters["direct"].multiplications["adapter"] *= default.computed.shape[1]

    def report(self) -> dict[str, Any]:
        """Ready for JSON."""
        timed = sum("timed" in row for row in self._rows)
        parts = {**{part: [part] for part in PARTS}, "all": list(PARTS)}
        seconds = {
            name: {way: sum(clock.seconds[part] for part in which) / timed for way, clock in self._clocks.items()}
            for name, which in parts.items()
        }
        faster = {
            f"{name}_{way}": seconds[part]["direct"] / seconds[part][way]
            for name, part in (("adapter_speedup", "adapter"), ("segment_speedup", "all"))
            for way in COMPUTATIONS[1:]
        }
        return {
            "adapter_speedup_exact": self._segments.get("speedup_exact", faster["adapter_speedup_exact"]),
            "adapter_speedup_default": faster["adapter_speedup_default"],
            "segment_speedup_default": faster["segment_speedup_default"],
            "agreement_default": mean(row["agreement, default"] for row in self._rows),
            "peak_memory_gb_default": self._memory[0],
            "adapter_speedup_exact_on_proposals": faster["adapter_speedup_exact"],
            "images_per_second_default": 1 / seconds["all"]["default"],
            "segment_speedup_exact": faster["segment_speedup_exact"],
            "segments": self._segments,
            "seconds": seconds,
            "multiplications": {
                part: {way: counter.multiplications[part] for way, counter in self._counters.items()}
                for part in COUNTED
            },
            "images": self._rows,
        }


def _compared(direct: Answer, default: Answer) -> dict[str, Any]:
    return {
        "agreement, default": float((default.labels == direct.labels).mean()),
        "proposals": default.computed.shape[1],
        "proposals computed, default": int(default.computed.sum()),
    }


def _facts(model: str, encoded: EncodedVocabulary, size: int, proposals: int, device: str) -> dict[str, Any]:
    on_gpu = torch.device(device).type == "cuda"
    return {
        "model": model if model not in MODELS else f"{model}, random weights, layer scale {_LAYER_SCALE}",
        "proposals": f"{proposals}, of the embedded model with its adapter" if model in MODELS else "its own",
        "size": size,
        "classes": len(encoded.vocabulary),
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "libraries": {name: version(name) for name in ("maskadapter", "torch", "timm", "open_clip_torch")},
        "python": platform.python_version(),
    }


def processor() -> str:
    """As Linux tells it, or as Python does."""
    try:
        lines: Iterator[str] = iter(Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines())
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
