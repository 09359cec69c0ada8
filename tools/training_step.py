"""Time a training step of stage ``mixed`` with the exact adapter and with the reference: seconds, memory, losses.

    python tools/training_step.py [--root COCO]

The model has the shapes of ``maftplus-base`` (ConvNeXt-B) and random weights, with the layer scale that trained blocks
have. The settings are those of two recipes, the recommended one and the published row: the latter fills the slots that
found no pair with empty and full masks, so that more masks are equal. Images and masks are COCO panoptic's with
``--root``, whose folder holds ``annotations``, ``train2017`` and so on, and otherwise procedural scenes; they are
flipped, scaled, cropped and padded as in training.

The masks of a mask generator with random weights match no ground-truth mask. So it does its own work, which counts, and
then answers with ground-truth masks at stride 4: moved by a pixel, grown by one, shrunk by one.

Seconds: every batch goes through both computations, one after the other in one process, in another order each time,
with the same weights before each. Memory: of a whole step of the fullest batch beyond what is held before it (weights,
the optimizer's state, libraries that a small step has loaded), in a process of its own for each computation, in which
freed memory goes back to the system at once, so that no peak hides behind an earlier one.
Writes ``results/benchmarks/training-step-cpu.json`` and ``.md``. About ten minutes and 6 GB on two cores.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maskadapter as ma
from maskadapter.benchmark.clock import Clock, peak_memory
from maskadapter.benchmark.machine import processor
from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.data.loading.batches import load_batches
from maskadapter.data.loading.sampling import TrainingOrder
from maskadapter.data.loading.transforms import TrainingTransform
from maskadapter.data.scenes.scenes import Scenes
from maskadapter.models.builder import Architecture, build
from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import to_batch
from maskadapter.system.atomic_files import write_atomically
from maskadapter.training.adapter.iou_matching import resize_masks
from maskadapter.training.adapter.stages import AdapterStage, Prepared
from maskadapter.training.batch import Batch, MaskTargets
from maskadapter.training.optimizer import parameter_groups
from maskadapter.training.recipe import Recipe, read_recipe
from maskadapter.types.encoded_image import Proposals

ROOT = Path(__file__).parent.parent
RECIPES = {
    "recommended": ROOT / "recipes/recommended/recommended-maftplus-base-mixed.yaml",
    "published": ROOT / "recipes/table1/maftplus-base-mixed.yaml",
}
COMPUTATIONS = ("reference", "exact")
PARTS = ("prepare", "trainable half", "optimizer")
CPU = torch.device("cpu")
# As trained blocks have it; that of new ones, 1e-6, would make them do nothing.
LAYER_SCALE = 0.1
SMALL = 64  # pixels: the crop of a step that loads libraries and makes the optimizer's state
# Bytes from which the C library gives freed memory back at once. Source: mallopt(3), M_MMAP_THRESHOLD.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}


class FromGroundTruth(nn.Module):
    """A mask generator that does its own work and then answers with copies of ground-truth masks. See above."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.targets: Sequence[MaskTargets] = ()

    def forward(self, *inputs: Any) -> Proposals:
        """Copies take the place of the first proposals, as far as there are proposals: (B, N, H / 4, W / 4)."""
        own: Proposals = self.generator(*inputs)
        logits = own.mask_logits.clone()
        for row, targets in zip(logits, self.targets, strict=True):
            small = (resize_masks(targets.masks, (row.shape[-2], row.shape[-1])) > 0.5).float()
            grown = F.max_pool2d(small, 3, 1, 1)
            shrunk = 1 - F.max_pool2d(1 - small, 3, 1, 1)
            copies = torch.stack([small.roll(1, dims=-1), grown, shrunk], dim=1).flatten(0, 1)[: len(row)]
            row[: len(copies)] = 20 * copies - 10
        return Proposals(logits, own.class_logits)


@dataclass(frozen=True, eq=False)
class Step:
    """losses: by name. gradients: of what is trained, before clipping. counts: see ``_counted``."""

    losses: dict[str, float]
    gradients: list[Tensor]
    counts: dict[str, int]


class Training:
    """A model with random weights, its optimizer, and batches of ``crop`` pixels."""

    def __init__(self, recipe: Recipe, root: Path | None, batch_size: int) -> None:
        torch.manual_seed(0)
        self.recipe, self.batch_size = recipe, batch_size
        self.segmenter = build(Architecture(recipe.model.architecture, "adapter")).eval().requires_grad_(False)
        pooler = self.segmenter.pooler
        assert isinstance(pooler, AdapterPooler)
        assert isinstance(self.segmenter.generator, nn.Module)
        self.pooler, self.reference = pooler, ReferencePooler(pooler)
        for block in pooler.adapter.blocks:
            nn.init.constant_(block.gamma, LAYER_SCALE)  # type: ignore[arg-type]
        pooler.adapter.requires_grad_(True)
        pooler.adapter.checkpoint_blocks = recipe.run.checkpoint_blocks
        self.segmenter.void_embedding.requires_grad_(recipe.trains_void_embedding)
        self.segmenter.generator = self.generator = FromGroundTruth(self.segmenter.generator)
        quirks = recipe.upstream_quirks
        self.stage = AdapterStage(self.segmenter, recipe.masks, quirks, recipe.loss)
        groups = parameter_groups(self.stage, recipe.optimizer.weight_decay, quirks.decayed_parameters)
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.optimizer.lr)
        self.trained = [p for p in self.stage.parameters() if p.requires_grad]
        self.start = [p.detach().clone() for p in self.trained]
        self.keeps_gradients = True  # to compare them; not where memory is measured
        self.dataset = (
            Scenes(1000, size=512, things=(4, 12), stuff=True)
            if root is None
            else ma.open_dataset("coco-panoptic", root, split="train")
        )
        # Random unit vectors for class names: the text encoder has no part in a step.
        vocabulary = self.dataset.vocabulary
        rows = torch.randn(len(vocabulary.synonyms), self.segmenter.clip.embed_dim)
        self.encoded = EncodedVocabulary(vocabulary, F.normalize(rows, dim=-1))

    def batches(self, count: int, crop: int) -> list[Batch]:
        """The first ones of a training."""
        data, seed = self.recipe.data, self.recipe.run.seed
        draws = TrainingOrder([self.dataset], self.batch_size, seed).batches(0, 0, 1)
        transform = TrainingTransform(crop, data.scale, data.flip, data.color)
        found = []
        for loaded, _ in zip(load_batches([self.dataset], [transform], draws, seed), range(count), strict=False):
            images = to_batch([sample.image for sample in loaded.samples], self.segmenter.clip.size_divisor, CPU)
            targets = [MaskTargets.of(sample.target).nonempty() for sample in loaded.samples]
            found.append(Batch(images, targets, self.encoded))
        return found

    def step(self, batch: Batch, computation: str, clock: Clock) -> Step:
        """As training does it, from the weights at the start."""
        with torch.no_grad():
            for parameter, value in zip(self.trained, self.start, strict=True):
                parameter.copy_(value)
        self.segmenter.pooler = self.reference if computation == "reference" else self.pooler
        self.generator.targets = batch.targets
        with clock.part("prepare"):
            rngs = [torch.Generator().manual_seed(number) for number in range(len(batch.images))]
            prepared = self.stage.prepare(batch, rngs)
        with clock.part("trainable half"):
            losses = self.stage(prepared, prepared.counts())
            torch.stack(list(losses.values())).sum().backward()
        numbers = {name: loss.item() for name, loss in losses.items()}
        gradients = [p.grad.clone() for p in self.trained] if self.keeps_gradients else []  # type: ignore[union-attr]
        with clock.part("optimizer"):
            nn.utils.clip_grad_norm_(self.trained, self.recipe.optimizer.clip_norm or float("inf"))
            self.optimizer.step()
            self.optimizer.zero_grad()
        return Step(numbers, gradients, _counted(prepared))


def _counted(prepared: Prepared) -> dict[str, int]:
    """Over all images of a step. Equal masks of one image count once as different masks."""
    return {
        "slots": prepared.labels.numel(),
        "masks with a label": int(prepared.counts()[0]),
        "pairs": int(prepared.counts()[1]),
        "different masks": sum(len(masks.unique(dim=0)) for masks in prepared.masks),
    }


def seconds(training: Training, batches: Sequence[Batch], small: Batch) -> dict[str, Any]:
    """Both computations on every batch."""
    clocks = {computation: Clock(CPU) for computation in COMPUTATIONS}
    for computation in COMPUTATIONS:
        training.step(small, computation, Clock(CPU))
        training.step(batches[0], computation, Clock(CPU))
    rows = []
    for number, batch in enumerate(batches):
        turns = COMPUTATIONS if number % 2 else COMPUTATIONS[::-1]
        steps = {computation: training.step(batch, computation, clocks[computation]) for computation in turns}
        reference, exact = (steps[computation] for computation in COMPUTATIONS)
        apart = [
            float((a - b).abs().max() / a.abs().max().clamp(min=torch.finfo(a.dtype).tiny))
            for a, b in zip(reference.gradients, exact.gradients, strict=True)
        ]
        losses = {computation: step.losses for computation, step in steps.items()}
        rows.append({**exact.counts, "losses": losses, "gradients apart": max(apart)})
        print(f"batch {number + 1} of {len(batches)}: {rows[-1]}", file=sys.stderr)
    by_part = {c: {part: clocks[c].seconds[part] / len(batches) for part in PARTS} for c in COMPUTATIONS}
    for parts in by_part.values():
        parts["whole step"] = sum(parts.values())
    return {"seconds": by_part, "batches": rows}


def memory(training: Training, batch: Batch, small: Batch, computation: str) -> float:
    """The most that a step takes beyond what is held before it, GB (10^9 bytes)."""
    training.keeps_gradients = False
    training.step(small, computation, Clock(CPU))
    with peak_memory(CPU) as taken:
        training.step(batch, computation, Clock(CPU))
    return taken[0]


def measured(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Everything about one recipe."""
    training = Training(_recipe(name), options.root, options.batch)
    report = seconds(training, training.batches(options.steps, options.crop), training.batches(1, SMALL)[0])
    del training
    report["memory"] = {}
    for computation in COMPUTATIONS:
        command = [sys.executable, *sys.argv, "--child", name, computation]
        lines = subprocess.run(command, env={**os.environ, **GIVEN_BACK}, check=True, stdout=subprocess.PIPE, text=True)
        report["memory"][computation] = float(lines.stdout.splitlines()[-1])
    took, losses = report["seconds"], [row["losses"] for row in report["batches"]]
    report["summary"] = {
        "times faster, whole step": took["reference"]["whole step"] / took["exact"]["whole step"],
        "times faster, trainable half": took["reference"]["trainable half"] / took["exact"]["trainable half"],
        "share of the reference's memory": report["memory"]["exact"] / report["memory"]["reference"],
        # Of all losses together: with random weights a pair's embeddings hardly differ, and what is left is rounding.
        "losses apart, relative to their sum": max(
            abs(both["reference"][key] - both["exact"][key]) / sum(both["reference"].values())
            for both in losses
            for key in both["reference"]
        ),
        "gradients apart, relative to a tensor's largest": max(row["gradients apart"] for row in report["batches"]),
    }
    return report


def _recipe(name: str) -> Recipe:
    return read_recipe(RECIPES[name])


def table(report: Mapping[str, Any]) -> str:
    recipes: Mapping[str, Any] = report["recipes"]
    lines = ["# A training step of stage `mixed`", "", "Written by `tools/training_step.py`, which tells how.", ""]
    rows: dict[str, list[str]] = defaultdict(list)
    for found in recipes.values():
        for name, number in found["summary"].items():
            rows[name].append(f"{number:.2g}" if "apart" in name else f"{number:.2f}")
        for computation in COMPUTATIONS:
            for part, number in found["seconds"][computation].items():
                rows[f"seconds, {part}, {computation}"].append(f"{number:.2f}")
            rows[f"memory of a step, GB, {computation}"].append(f"{found['memory'][computation]:.2f}")
        for name in ("slots", "different masks", "masks with a label", "pairs"):
            rows[f"{name} in a step"].append(f"{mean(row[name] for row in found['batches']):.1f}")
    lines += [f"| | {' | '.join(recipes)} |", "|---" + "|---:" * len(recipes) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in report["facts"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder of COCO 2017 with panoptic labels; without it scenes")
    parser.add_argument("--steps", type=int, default=3, help="batches, each of which goes through both computations")
    parser.add_argument("--crop", type=int, default=512, help="pixels")
    parser.add_argument("--batch", type=int, default=2, help="images in a step")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--output", type=Path, default=ROOT / "results/benchmarks/training-step-cpu")
    parser.add_argument("--child", nargs=2, metavar=("RECIPE", "COMPUTATION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, computation = options.child
        training = Training(_recipe(name), options.root, options.batch)
        fullest = max(training.batches(options.steps, options.crop), key=lambda batch: max(map(len, batch.targets)))
        print(memory(training, fullest, training.batches(1, SMALL)[0], computation))
        return
    report = {"recipes": {name: measured(options, name) for name in options.recipes}, "facts": _facts(options)}
    for suffix, text in ((".json", json.dumps(report, indent=1) + "\n"), (".md", table(report))):
        with write_atomically(options.output.with_suffix(suffix)) as path:
            path.write_text(text, encoding="utf-8")
    print(table(report))


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    libraries = ("maskadapter", "torch", "timm", "open_clip_torch")
    return {
        "model": f"{_recipe(options.recipes[0]).model.architecture}, random weights, layer scale {LAYER_SCALE}",
        "images": "procedural scenes" if options.root is None else "COCO 2017 train, panoptic labels",
        "crop": options.crop,
        "batch": options.batch,
        "batches": options.steps,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "precision": "float32",
        "libraries": ", ".join(f"{name} {version(name)}" for name in libraries),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
