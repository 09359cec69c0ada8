"""Evaluate one model on one data set, for every cell of every table that needs it."""

import os
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.data import KNOWN, Dataset
from maskadapter.evaluation import Partition, Records, image_counts
from maskadapter.hub import ModelSource, is_bare
from maskadapter.models import PrecisionName
from maskadapter.paper.published import reference_figures
from maskadapter.paper.tables.requirements import Given
from maskadapter.pipelines import GROUND_TRUTH, Branch
from maskadapter.system.atomic_files import readable
from maskadapter.system.json_lines import append_line, drop_torn_line


@dataclass(frozen=True)
class RunOptions:
    """What the user chooses for all tables, see ``reproduce``. folder: of the tables. partition: None for a table's."""

    given: Given
    folder: Path
    split: str
    partition: str | None
    limit: int | None
    device: str
    precision: PrecisionName | None = None


@dataclass(frozen=True)
class EvaluationRun:
    """What is evaluated: which weights, how they are used, where the masks come from, on which data set."""

    source: ModelSource
    branch: Branch
    masks: str | None
    dataset: str

    def folder(self, options: RunOptions) -> Path:
        """The folder of its records, the same for all tables: ``evaluations/<weights and pooler>/<data set and use>``.

        Files of the same name in two folders differ by a hash of their path; those of trainings are named after them.
        """
        files = [self._weights(file, options.given.runs) for file in (self.source.name, self.source.adapter) if file]
        precision = None if options.precision == "fp32" else options.precision
        weights = "-".join(filter(None, [*files, self.source.pooler, precision]))
        branch = "" if self.branch == "ensemble" else self.branch
        use = "-".join(filter(None, [Path(self.dataset).stem, branch, self.masks]))
        return options.folder / "evaluations" / _slug(weights) / _slug(use)

    @staticmethod
    def _weights(name: str | Path, runs: Path) -> str:
        file = Path(str(name).rpartition(":")[2] if is_bare(name) else name)
        if not file.is_file():
            return str(name)
        if file.parent.parent == runs:
            return file.parent.name
        digest = sha256(os.fsencode(file.absolute())).hexdigest()[:8]
        return readable(f"{file.absolute().parent.name}-{file.stem}-{digest}")


@dataclass(frozen=True)
class FinishedEvaluation:
    """One finished evaluation of P images.

    counts: metric -> (P, 3, K), see ``image_counts``. partition: None where no column asks for seen and unseen classes.
    seconds: the median of an image. whole: whether it covers all images of the paper. trained: what the training of its
    weights was, where it was a recipe.
    """

    image_names: tuple[str, ...]
    counts: Callable[[str], np.ndarray]
    partition: Partition | None
    seconds: float
    folder: Path
    whole: bool
    trained: str


class TimedPredictor:
    """Call ``predict``, and append the seconds of each call to a file, one line a call, that a later run continues."""

    def __init__(self, predict: Callable[..., Any], path: Path, device: str) -> None:
        self.predict, self.path, self.device = predict, path, device
        drop_torn_line(path)

    def __call__(self, *arguments: np.ndarray) -> Any:
        import torch

        from maskadapter.benchmark import Clock

        clock = Clock(torch.device(self.device))
        with clock.part("image"):
            result = self.predict(*arguments)
        append_line(self.path, f"{clock.seconds['image']:.6f}\n".encode("ascii"))
        return result

    def median(self) -> float:
        """Return the median of all seconds in the file; NaN where there are none."""
        # A last line without its end was cut off.
        lines = self.path.read_text(encoding="ascii").split("\n")[:-1] if self.path.is_file() else []
        return statistics.median(map(float, lines)) if lines else float("nan")


def evaluate_run(
    run: EvaluationRun, dataset: Dataset, options: RunOptions, partition: Partition | None
) -> FinishedEvaluation:
    """Evaluate, or continue."""
    from maskadapter.evaluation import evaluate
    from maskadapter.pipelines import model_predictor

    folder, reference = run.folder(options), {}
    source = replace(run.source, precision=options.precision)
    predictor = model_predictor(source, dataset, device=options.device, branch=run.branch, masks=run.masks)
    if predictor.published_as is not None:
        reference = reference_figures(*predictor.published_as, dataset, run.branch, partition)
    timed = TimedPredictor(predictor.predict, folder / "seconds.txt", options.device)
    report = evaluate(
        timed,
        dataset,
        folder,
        metrics=("masks",) if run.masks == GROUND_TRUTH else ("semantic",),
        limit=options.limit,
        partition=partition,
        settings={**readable_settings(predictor.settings), "split": options.split},
        reference=reference,
        share=(0, 1),
    )
    images, known = int(report.facts["images"]), KNOWN.get(dataset.name)
    records = Records(folder)
    records.refresh()
    return FinishedEvaluation(
        image_names=tuple(record["name"] for record in records.read(images)),
        counts=lambda metric: image_counts(records.read(images), metric, len(dataset.vocabulary)),
        partition=partition,
        seconds=timed.median(),
        folder=folder,
        whole=known is not None and options.split == "val" and images == known.splits["val"].count,
        trained="; ".join(filter(None, (_training(one) for one in (run.source.name, run.source.adapter) if one))),
    )


def _training(weights: str | Path) -> str:
    """Describe the training that a file keeps: steps, images a step, data sets; "" for other weights."""
    from maskadapter.hub import trained_by

    match trained_by(weights):
        case {"run": {"iterations": int(steps), "batch_size": int(images)}, "data": {"train": [*sets]}}:
            name = readable(Path(weights).absolute().parent.name)
            return f"{name}, {steps:,} steps of {images} images on {', '.join(str(one['name']) for one in sets)}"
    return ""


def _slug(text: str) -> str:
    """Turn a text into a folder's name: lower case letters, digits, ``.``, ``+`` and ``-``."""
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")


def readable_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the bytes of file names that are not valid text, so that settings can be written as JSON."""
    return {name: readable(value) if isinstance(value, str) else value for name, value in settings.items()}
