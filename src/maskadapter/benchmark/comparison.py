"""Compare the three computations image by image: seconds, multiplications, memory, agreement."""

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from maskadapter.benchmark.clock import Clock, Counter, memory_taken, peak_memory
from maskadapter.benchmark.models import SubstitutedProposals, encode_classes
from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.benchmark.segments import draw_segments
from maskadapter.benchmark.stages import STAGES, Computation, PreparedImage, StageResults, run_stages
from maskadapter.models import ComputedProposals, EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler

COMPUTATIONS: tuple[Computation, ...] = ("reference", "exact", "pruned")


class Comparison:
    """Add up what is measured on several images, with both models that ``benchmark_models`` returns.

    encoded: the class list for the model that is timed.
    """

    def __init__(
        self,
        timed: OpenVocabularySegmenter,
        compared: OpenVocabularySegmenter,
        encoded: EncodedVocabulary,
    ) -> None:
        self._timed, self._compared, self._encoded = timed, compared, encoded
        self._encoded_to_compare = encoded if compared is timed else encode_classes(compared, encoded.vocabulary)
        self._device = timed.clip.logit_scale.device
        self._clocks = {computation: Clock(self._device) for computation in COMPUTATIONS}
        self._counters = {computation: Counter() for computation in COMPUTATIONS}
        self._segments: dict[str, Any] = {}
        self._memory: dict[str, float] = {}
        self._images: list[dict[str, Any]] = []

    @torch.inference_mode()
    def measure_on_segments(self, image: np.ndarray, root: Path, count: int) -> None:
        """Time the adapter on ``count`` segments of a folder of COCO panoptic, laid on the features of an image."""
        (batch, sizes), clock = self._timed.prepare(image), Clock(self._device)
        pooler, project = self._timed.pooler, self._timed.clip.project
        assert isinstance(pooler, AdapterPooler)
        masks = draw_segments(root, count, sizes)[None].to(batch.pixels.device)
        features = self._timed.clip.encode_image(batch.pixels)
        with clock.part("reference"):
            reference = ReferencePooler(pooler).embed(features, masks, project)
        with clock.part("exact"):
            exact = pooler.embed(features, masks, project)
        self._segments = {
            "number": masks.shape[1],
            "seconds": dict(clock.seconds),
            "speedup_exact": clock.seconds["reference"] / clock.seconds["exact"],
            "largest difference, exact": float((exact - reference).abs().max() / reference.abs().max()),
        }

    def measure(self, name: str, image: np.ndarray, timed: bool) -> None:
        """Compare the computations on one image (H, W, 3) uint8; ``timed``: time their stages too."""
        row: dict[str, Any] = {"name": name, "size": list(image.shape[:2])}
        prepared, computed, substituted = self._timed.prepare(image), None, self._timed.generator
        if isinstance(substituted, SubstitutedProposals) or not timed:
            asked = self._compared.prepare(image)
            reference, pruned = (
                run_stages(self._compared, asked, self._encoded_to_compare, way, Clock(self._device))
                for way in ("reference", "pruned")
            )
            computed, row = pruned.computed, row | _agreement(reference, pruned)
            if isinstance(substituted, SubstitutedProposals):
                substituted.substitute(pruned.proposals, pruned.class_logits, asked[1], prepared[1])
        if timed:
            row = self._time_stages(prepared, computed) | row
        self._images.append(row)

    def _time_stages(self, image: PreparedImage, computed: ComputedProposals | None) -> dict[str, Any]:
        if not self._memory:  # what runs first is slower, and memory that was taken once looks free from then on
            self._count(image, computed)
        if self._device.type != "cpu":  # a GPU chooses its kernels anew for each size, when that first comes
            for way in COMPUTATIONS:
                run_stages(self._timed, image, self._encoded, way, Clock(self._device), computed)
        # In another order for each image, so that none profits from memory that another left behind.
        first = len(self._images) % len(COMPUTATIONS)
        results = {
            way: run_stages(self._timed, image, self._encoded, way, self._clocks[way], computed)
            for way in COMPUTATIONS[first:] + COMPUTATIONS[:first]
        }
        difference = float((results["exact"].logits - results["reference"].logits).abs().max())
        row = {"timed": True, "largest difference of logits, exact": difference}
        return row | _agreement(results["reference"], results["pruned"])

    def _count(self, image: PreparedImage, computed: ComputedProposals | None) -> None:
        before = memory_taken(self._device)  # for both: a processor's memory that was taken once may be kept
        for way in ("pruned", "exact"):
            with peak_memory(self._device, before) as most:
                run_stages(self._timed, image, self._encoded, way, Clock(self._device), computed)
            self._memory[way] = most[0]
        pruned = run_stages(self._timed, image, self._encoded, "pruned", self._counters["pruned"], computed)
        run_stages(self._timed, image, self._encoded, "exact", self._counters["exact"])
        run_stages(self._timed, image, self._encoded, "reference", self._counters["reference"], at_most=1)
        # The reference does the same work for every mask, and counting all would take as long as computing them.
        self._counters["reference"].multiplications["adapter"] *= pruned.logits.shape[1]

    def report(self) -> dict[str, Any]:
        """Return the numbers of all images, ready for JSON."""
        timed = sum("timed" in row for row in self._images)
        clocks, counters = self._clocks.items(), self._counters.items()
        seconds = {stage: {way: clock.seconds[stage] / timed for way, clock in clocks} for stage in STAGES}
        seconds["all"] = {way: sum(seconds[stage][way] for stage in STAGES) for way in COMPUTATIONS}
        adapter, everything = seconds["adapter"], seconds["all"]
        exact_on_proposals = adapter["reference"] / adapter["exact"]
        return {
            "adapter_speedup_exact": self._segments.get("speedup_exact", exact_on_proposals),
            "adapter_speedup_pruned": adapter["reference"] / adapter["pruned"],
            "segment_speedup_pruned": everything["reference"] / everything["pruned"],
            "agreement_pruned": mean(row["agreement, pruned"] for row in self._images),
            "peak_memory_gb_pruned": self._memory["pruned"],
            "peak_memory_gb_exact": self._memory["exact"],
            "adapter_speedup_exact_on_proposals": exact_on_proposals,
            "images_per_second_pruned": 1 / everything["pruned"],
            "segment_speedup_exact": everything["reference"] / everything["exact"],
            "segments": self._segments,
            "seconds": seconds,
            # Not of the label map: the reference is counted on one mask alone.
            "multiplications": {
                stage: {way: counter.multiplications[stage] for way, counter in counters} for stage in STAGES[:-1]
            },
            "images": self._images,
        }


def _agreement(reference: StageResults, pruned: StageResults) -> dict[str, Any]:
    return {
        "agreement, pruned": float((pruned.labels == reference.labels).mean()),
        "proposals": pruned.logits.shape[1],
        "proposals computed, pruned": int((~pruned.computed.estimated).sum()),
    }
