"""Evaluate one row of a table on the data set of one column."""

import math
import os
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.data import KNOWN, Dataset
from maskadapter.evaluation import Partition, Records, image_counts
from maskadapter.paper.published import reference_figures
from maskadapter.paper.table import Column, Row
from maskadapter.paper.tables.requirements import Given, masks_for, source_for
from maskadapter.pipelines import GROUND_TRUTH
from maskadapter.system.atomic_files import readable


@dataclass(frozen=True)
class RunOptions:
    """What the user chooses for all rows of a table, see ``reproduce``. folder: of the table."""

    given: Given
    folder: Path
    root: str | Path | None
    split: str
    partition: str
    limit: int | None
    device: str


@dataclass(frozen=True)
class RowEvaluation:
    """One finished evaluation of P images.

    counts: metric -> (P, 3, K), see ``image_counts``. partition: None where no column asks for seen and unseen classes.
    seconds: the median of an image. whole: whether it covers all images of the paper.
    """

    image_names: tuple[str, ...]
    counts: Callable[[str], np.ndarray]
    partition: Partition | None
    seconds: float
    folder: Path
    whole: bool


class TimedPredictor:
    """Call ``predict``, and append the seconds of each call to a file, one line a call, that a later run continues."""

    def __init__(self, predict: Callable[..., Any], path: Path, device: str) -> None:
        self.predict, self.path, self.device = predict, path, device

    def __call__(self, *arguments: np.ndarray) -> Any:
        import torch

        from maskadapter.benchmark import Clock

        clock = Clock(torch.device(self.device))
        with clock.part("image"):
            result = self.predict(*arguments)
        with self.path.open("a", encoding="ascii") as file:
            file.write(f"{clock.seconds['image']:.6f}\n")
        return result

    def median(self) -> float:
        """Return the median of all seconds in the file; NaN where there are none."""
        # A last line without its end was cut off.
        lines = self.path.read_text(encoding="ascii").split("\n")[:-1] if self.path.is_file() else []
        return statistics.median(map(float, lines)) if lines else math.nan


def evaluate_row(
    row: Row, columns: Sequence[Column], dataset: Dataset, options: RunOptions, trained_on: str
) -> RowEvaluation:
    """Evaluate a row, or continue, for columns that differ in their metric alone. trained_on: a class list's name."""
    from maskadapter.evaluation import evaluate
    from maskadapter.pipelines import model_predictor

    # Files of the same name in two folders differ by a hash of their path.
    of_file = not row.recipe and Path(row.model).is_file()
    suffix = f"-{sha256(os.fsencode(Path(row.model).absolute())).hexdigest()[:8]}" if of_file else ""
    folder = options.folder / (slug(row.label) + suffix) / evaluation_name(columns[0])
    source, masks = source_for(row, columns[0], options.given), masks_for(row, columns[0])
    branch, partition, reference = columns[0].branch or row.branch, None, {}
    if any(column.metric.endswith("seen") for column in columns):
        partition = Partition.of(options.partition, dataset.vocabulary, trained_on)
    predictor = model_predictor(source, dataset, device=options.device, branch=branch, masks=masks)
    if predictor.published_as is not None:
        reference = reference_figures(*predictor.published_as, dataset, branch, partition)
    timed = TimedPredictor(predictor.predict, folder / "seconds.txt", options.device)
    report = evaluate(
        timed,
        dataset,
        folder,
        metrics=("masks",) if masks == GROUND_TRUTH else ("semantic",),
        limit=options.limit,
        partition=partition,
        settings={**readable_settings(predictor.settings), "split": options.split},
        reference=reference,
        share=(0, 1),
    )
    images, known = int(report.facts["images"]), KNOWN.get(dataset.name)
    records = Records(folder)
    records.refresh()
    return RowEvaluation(
        image_names=tuple(record["name"] for record in records.read(images)),
        counts=lambda metric: image_counts(records.read(images), metric, len(dataset.vocabulary)),
        partition=partition,
        seconds=timed.median(),
        folder=folder,
        whole=known is not None and options.split == "val" and images == known.splits["val"].count,
    )


def evaluation_name(column: Column) -> str:
    """Name what a column evaluates: the same for columns that differ in their metric alone."""
    masks = ["ground-truth-masks"] * (column.masks == GROUND_TRUTH)
    branch = [f"branch-{column.branch}"] * (column.branch is not None)
    return slug("-".join([Path(column.dataset).stem, *masks, *branch]))


def slug(text: str) -> str:
    """Turn a text into a folder's name: lower case letters, digits, ``.``, ``+`` and ``-``."""
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")


def readable_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the bytes of file names that are not valid text, so that settings can be written as JSON."""
    return {name: readable(value) if isinstance(value, str) else value for name, value in settings.items()}
