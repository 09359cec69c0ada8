"""What fewer bits cost and gain: the embedded model's results on COCO, and the large model's time, memory and numbers.

    python tools/precision.py --root ../shared/data/coco    # everything; fifteen minutes on two cores
    python tools/precision.py --root ../shared/data/coco --images 5 --size 320 --photos 1 --turns 1    # a trial

Losses are of ``tiny`` on COCO panoptic val, against fp32. Times are of random weights of fcclip-large with
the proposals of the embedded model, see ``maskadapter.benchmark``: all precisions side by side in one process, in
another order each turn, medians; weights and memory of each precision in a process of its own. A trial writes nothing;
otherwise ``results/benchmarks/precision-cpu.json`` and ``.md``.
"""

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import maskadapter as ma
from maskadapter.benchmark.clock import Clock, peak_memory
from maskadapter.benchmark.machine import processor
from maskadapter.benchmark.models import SubstitutedProposals, benchmark_models, encode_classes
from maskadapter.benchmark.request import photo_readers
from maskadapter.benchmark.stages import STAGES, Computation, StageResults, run_stages
from maskadapter.models.names import Precision
from maskadapter.models.precision import AGREED, has_units
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")
WAYS: tuple[Computation, ...] = ("exact", "pruned")
MODEL, PROPOSALS, CLASSES, CPU = "fcclip-large", 250, "ade20k-150", torch.device("cpu")
NAMES = ["cat", "traffic light", "wall", "swimming pool", "person", "chest of drawers", "sky", "streetlight"]
RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def losses(root: Path, pooler: Any, limit: int | None) -> dict[str, dict[str, float]]:
    """Of ``tiny`` with a pooler, for each precision: share of pixels with the class that fp32 gives, mIoU, PQ, seconds
    of an image."""
    dataset, right, found = ma.open_dataset("coco-panoptic", root, split="val"), [], {}
    for precision in PRECISIONS:
        model, labels, clock = ma.load(pooler=pooler, precision=precision), [], Clock(CPU)
        encoded = model.encode_text(dataset.vocabulary)

        def predict(image: np.ndarray, model=model, encoded=encoded, labels=labels, clock=clock) -> ma.Segmentation:
            with clock.part("image"):
                result = model.segment(image, encoded, background=None)
                labels.append(result.semantic())
            return result

        with tempfile.TemporaryDirectory() as folder:
            report = ma.evaluate(predict, dataset, folder, metrics=("semantic", "panoptic"), limit=limit)
        right = right or labels
        kept = sum((ours == theirs).sum() for ours, theirs in zip(labels, right, strict=True))
        found[precision] = {
            "pixels that keep their class, %": 100 * float(kept / sum(one.size for one in labels)),
            "mIoU": report.numbers["mIoU"],
            "PQ": report.numbers["PQ"],
            "seconds": clock.seconds["image"] / len(labels),
        }
    return found


class Large:
    """The large model in one precision, with the proposals that the embedded one finds on a photo."""

    def __init__(self, precision: Precision, size: int) -> None:
        self.segmenter, self._compared = benchmark_models(MODEL, PROPOSALS, "cpu", precision)
        self.segmenter.inference = replace(self.segmenter.inference, input_size=InputSize(size, size))
        self._encoded = encode_classes(self.segmenter, CLASSES)

    def take(self, photo: np.ndarray) -> None:
        """Prepare a photo, and substitute its proposals."""
        encoded = self._compared.encode_text(CLASSES)
        self._photo, asked = self.segmenter.prepare(photo), self._compared.prepare(photo)
        found = run_stages(self._compared, asked, encoded, "pruned", Clock(CPU))
        self._computed = found.computed
        assert isinstance(self.segmenter.generator, SubstitutedProposals)
        self.segmenter.generator.substitute(found.proposals, found.class_logits, asked[1], self._photo[1])

    def run(self, way: Computation, clock: Clock) -> StageResults:
        return run_stages(self.segmenter, self._photo, self._encoded, way, clock, self._computed)


def speed(size: int, photos: int, turns: int) -> dict[str, Any]:
    """Medians of seconds, and how far the numbers are from those of fp32, by precision."""
    models = {precision: Large(precision, size) for precision in PRECISIONS}
    seconds: dict[tuple[str, str, str], list[float]] = {}
    apart: dict[str, list[dict[str, float]]] = {precision: [] for precision in PRECISIONS}
    for read in list(photo_readers().values())[:photos]:
        for model in models.values():
            model.take(read())
        for turn in range(turns + 1):  # what runs first is slower: it is not counted
            for way in WAYS:
                results = {}
                for number in range(len(PRECISIONS)):
                    precision, clock = PRECISIONS[(number + turn) % len(PRECISIONS)], Clock(CPU)
                    results[precision] = models[precision].run(way, clock)
                    for stage in STAGES if turn else ():
                        seconds.setdefault((precision, way, stage), []).append(clock.seconds[stage])
                    if turn:
                        seconds.setdefault((precision, way, "all"), []).append(sum(clock.seconds.values()))
                if way == "exact" and turn == 0:
                    for precision, one in results.items():
                        apart[precision].append(_apart(one, results["fp32"]))
    text = {precision: _text_seconds(model.segmenter) for precision, model in models.items()}
    return {
        precision: {
            "seconds": {
                way: {stage: median(seconds[precision, way, stage]) for stage in (*STAGES, "all")} for way in WAYS
            },
            "seconds of a class name": text[precision],
            "against fp32": {
                name: (min if "cosine" in name or "pixels" in name else max)(row[name] for row in apart[precision])
                for name in apart[precision][0]
            },
        }
        for precision in PRECISIONS
    }


def _apart(ours: StageResults, right: StageResults) -> dict[str, float]:
    cosines = F.cosine_similarity(ours.embeddings, right.embeddings, dim=-1)
    return {
        "least cosine of mask embeddings": float(cosines.min()),
        "mean cosine of mask embeddings": float(cosines.mean()),
        "largest difference of class probabilities": float((ours.probs - right.probs).abs().max()),
        "pixels that keep their class, %": 100 * float((ours.labels == right.labels).mean()),
    }


@torch.inference_mode()
def _text_seconds(segmenter: OpenVocabularySegmenter) -> float:
    clock = Clock(CPU)
    segmenter.clip.encode_text(NAMES[:1])
    with clock.part("text"):
        segmenter.clip.encode_text(NAMES)
    return clock.seconds["text"] / len(NAMES)


def memory(precision: Precision, size: int) -> dict[str, float]:
    """GB of the weights, and the most beyond them, by computation."""
    model = Large(precision, size)
    model.take(next(iter(photo_readers().values()))())
    state = model.segmenter.state_dict().values()
    found = {"weights, GB": sum(tensor.numel() * tensor.itemsize for tensor in state) / 1e9}
    for way in reversed(WAYS):  # pruned first: memory that exact took once looks free from then on
        with peak_memory(CPU) as most:
            model.run(way, Clock(CPU))
        found[f"{way}: beyond the weights, GB"] = most[0]
    return found


def alone(work: partial[dict[str, float]]) -> dict[str, float]:
    """In a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work).result()


def tables(found: dict[str, Any]) -> str:
    """Markdown of all numbers."""
    parts, large = [], found["large"]
    for pooler, rows in found["tiny"].items():
        head = [f"tiny, {pooler}", *rows["fp32"]]
        parts.append(markdown_table(head, [[p, *(f"{v:.4g}" for v in row.values())] for p, row in rows.items()]))
    for way in WAYS:
        head = [f"{MODEL}, {way}: seconds", *STAGES, "all", "times faster than fp32"]
        first, rows = large["fp32"]["seconds"][way]["all"], []
        for precision in PRECISIONS:
            row = large[precision]["seconds"][way]
            rows.append([precision, *(f"{row[stage]:.3g}" for stage in (*STAGES, "all")), f"{first / row['all']:.2f}"])
        parts.append(markdown_table(head, rows))
    head = [MODEL, "seconds of a class name", *large["fp32"]["against fp32"], *found["memory"]["fp32"]]
    rows = []
    for precision in PRECISIONS:
        numbers = (*large[precision]["against fp32"].values(), *found["memory"][precision].values())
        rows.append([precision, f"{large[precision]['seconds of a class name']:.3g}", *(f"{n:.4g}" for n in numbers)])
    parts.append(markdown_table(head, rows))
    facts = {key: value for key, value in found.items() if key not in ("tiny", "large", "memory")}
    parts.append(markdown_table(["", ""], [[key, str(value)] for key, value in facts.items()]))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of COCO")
    parser.add_argument("--images", type=int, help="only the first so many of COCO")
    parser.add_argument("--size", type=int, default=896)
    parser.add_argument("--photos", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, Any] = {"memory": {p: alone(partial(memory, p, given.size)) for p in PRECISIONS}}
    found["large"] = speed(given.size, given.photos, given.turns)
    found["tiny"] = {pooler: losses(given.root, pooler, given.images) for pooler in ("pooling",)}
    found |= {
        "model": f"{MODEL}, random weights, {given.size} pixels, {CLASSES}, {PROPOSALS} proposals",
        "auto keeps in bf16": ", ".join(AGREED),
        "processor": f"{processor()}; units: {', '.join(p for p in PRECISIONS[1:] if has_units(p, CPU))}",
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
        "photos, turns": f"{given.photos}, {given.turns}",
    }
    print(tables(found))
    if given == parser.parse_args(["--root", str(given.root)]):
        write_json(RESULTS / "precision-cpu.json", found)
        with write_atomically(RESULTS / "precision-cpu.md") as path:
            path.write_text(tables(found), encoding="utf-8")


if __name__ == "__main__":
    main()
