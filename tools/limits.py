"""What the large model needs at its limits: a photograph of 48 megapixels, 847 classes, 1,000 masks.

    python tools/limits.py

Random weights of fcclip-large at 896 pixels; its proposals are the embedded model's, see ``maskadapter.benchmark``.
Every measurement has a process of its own, so that none profits from memory that another took. Memory is beyond the
weights. Writes ``results/benchmarks/limits-cpu.json`` and ``.md``; some ten minutes on two cores.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data

from maskadapter.benchmark.clock import Clock, peak_memory
from maskadapter.benchmark.machine import processor
from maskadapter.benchmark.models import SubstitutedProposals, benchmark_models, encode_classes
from maskadapter.benchmark.stages import STAGES, Computation, StageResults, run_stages
from maskadapter.models.preprocess import InputSize
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.vocabulary.vocabulary import Vocabulary

MODEL, SIZE, PROPOSALS = "fcclip-large", InputSize(896, 896), 250
CPU = torch.device("cpu")
TURNS = 2
WAYS: tuple[Computation, ...] = ("exact", "pruned")
RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def photograph(height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(data.coffee()).resize((width, height)))


class Large:
    """The model with proposals for one image."""

    def __init__(self, image: np.ndarray) -> None:
        self.segmenter, self._compared = benchmark_models(MODEL, PROPOSALS, "cpu")
        self.segmenter.inference = replace(self.segmenter.inference, input_size=SIZE, prune_proposals=True)
        self._given = self.segmenter.prepare(image)
        self._asked = self._compared.prepare(image)

    def substitute(self, vocabulary: Vocabulary) -> StageResults:
        """Give the large model the proposals that the embedded one finds for these classes."""
        encoded = self._compared.encode_text(vocabulary)
        found = run_stages(self._compared, self._asked, encoded, "pruned", Clock(CPU))
        assert isinstance(self.segmenter.generator, SubstitutedProposals)
        self.segmenter.generator.substitute(found.proposals, found.class_logits, self._asked[1], self._given[1])
        return found

    def seconds(self, vocabulary: Vocabulary, computation: Computation) -> tuple[float, int]:
        """Of one image, class map included, and how many proposals were computed."""
        encoded, found = encode_classes(self.segmenter, vocabulary), self.substitute(vocabulary)
        clock = Clock(CPU)
        results = run_stages(self.segmenter, self._given, encoded, computation, clock, found.computed)
        return sum(clock.seconds[stage] for stage in STAGES), int((~results.computed.estimated).sum())


def large_photograph() -> dict[str, Any]:
    """Segment, class map and panoptic map of 8,000 x 6,000 pixels; the photograph is counted."""
    vocabulary = Vocabulary.of("ade20k-150")
    large = Large(photograph(600, 800))
    large.substitute(vocabulary)
    encoded = encode_classes(large.segmenter, vocabulary)
    with peak_memory(CPU) as most:
        image = photograph(6000, 8000)
        start = time.perf_counter()
        result = large.segmenter.segment(image, encoded, background=None)
        result.semantic()
        result.panoptic()
        seconds = time.perf_counter() - start
    return {"8,000 x 6,000: seconds": seconds, "8,000 x 6,000: GB": most[0]}


def many_classes() -> dict[str, Any]:
    """An image with 847 classes and with the first 20 of them, in turns; the text is encoded."""
    every = Vocabulary.of("ade20k-847")
    few = Vocabulary.of([list(names) for names in every.classes[:20]])
    large = Large(photograph(600, 800))
    large.seconds(few, "pruned")  # what comes first in a process is slower
    found: dict[str, Any] = {}
    for way in WAYS:
        turns = [(large.seconds(few, way), large.seconds(every, way)) for _ in range(TURNS)]
        twenty, all_of_them = (min(turn[which][0] for turn in turns) for which in (0, 1))
        found |= {
            f"{way}, 20 classes: seconds": twenty,
            f"{way}, 847 classes: seconds": all_of_them,
            f"{way}, 847 classes over 20": all_of_them / twenty,
            f"{way}, 20 classes: proposals computed": turns[0][0][1],
            f"{way}, 847 classes: proposals computed": turns[0][1][1],
        }
    return found


def many_masks(count: int) -> dict[str, Any]:
    """``classify`` of boxes of every size, none twice."""
    image = photograph(600, 800)
    large = Large(image)
    encoded = encode_classes(large.segmenter, "ade20k-150")
    rng = np.random.default_rng(0)
    masks = np.zeros((count, 600, 800), bool)
    for mask in masks:
        top, left = rng.integers(0, 500), rng.integers(0, 700)
        height, width = rng.integers(20, 400), rng.integers(20, 500)
        mask[top : top + height, left : left + width] = True
    with peak_memory(CPU) as most:
        start = time.perf_counter()
        large.segmenter.classify(image, masks, encoded)
        seconds = time.perf_counter() - start
    return {f"{count:,} masks: seconds": seconds, f"{count:,} masks: GB": most[0]}


def alone(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """In a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(work).result()
    print(found, flush=True)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    found: dict[str, Any] = {}
    works: list[Callable[[], dict[str, Any]]] = [partial(many_masks, count) for count in (250, 500, 1000)]
    for work in [*works, many_classes, large_photograph]:
        found |= alone(work)
        write(found)  # what is measured stays when a later measurement is interrupted


def write(found: dict[str, Any]) -> None:
    facts = {
        "model": f"{MODEL}, random weights, {SIZE.longest} pixels",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "limits-cpu.json", {**found, **facts})
    rows = [f"| {name} | {value:.4g} |" for name, value in found.items()]
    rows += [f"| {name} | {value} |" for name, value in facts.items()]
    with write_atomically(RESULTS / "limits-cpu.md") as path:
        path.write_text("\n".join(["| | |", "|---|---:|", *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
