"""``reproduce``: everything that a table of the paper needs is evaluated, and put beside what was published."""

import logging
import math
import os
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskadapter.benchmark.clock import Clock
from maskadapter.data.catalog import KNOWN
from maskadapter.data.dataset import Dataset
from maskadapter.data.opening import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.bootstrap import bootstrap, image_counts, metric_function, standard_error
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.evaluation.partition import Partition
from maskadapter.evaluation.records import Records
from maskadapter.hub.loading import check_device
from maskadapter.hub.model_source import ModelSource
from maskadapter.paper.published import SEEN_AND_UNSEEN, reference_figures
from maskadapter.paper.tables.definitions import table_named
from maskadapter.paper.tables.own_data import with_own
from maskadapter.paper.tables.report import Cell, TableReport, holds_numbers
from maskadapter.paper.tables.requirements import Given, proposals_for, weight_names, weights_for
from maskadapter.paper.tables.table import TRUE_MASKS, Column, Row, Table
from maskadapter.pipelines.model_evaluation import model_predictor
from maskadapter.system.atomic_files import readable
from maskadapter.system.progress import busy

_log = logging.getLogger(__name__)


def reproduce(
    table: str,
    root: str | Path | None = None,
    output: str | Path | None = None,
    *,
    model: str | Path | None = None,
    data: str | Path | None = None,
    subset: str = "val",
    split: str | Path | None = None,
    limit: int | None = None,
    runs: str | Path = "runs",
    weights: Mapping[str, str | Path] | None = None,
    download: bool = False,
    device: str = "cpu",
) -> TableReport:
    """Evaluate the rows of a table and write ``<table>.json`` and ``<table>.md`` into the folder ``output``.

    table: ``table1`` to ``table11``, see ``tables.TABLES``. root: folder that holds the data sets.
    output: ``reproduce/<table>`` without it. Each evaluation has a folder of its own in it, ``<row>/<data set>``; where
        one is done or begun, the same call goes on.
    model, data: a model, a data set (known, or a YAML file) in place of the paper's, see ``own.with_own``.
    subset: which images of the data sets, ``val`` or ``train``. limit: only the first so many.
    split: for columns of seen and unseen classes, as ``Partition.of`` takes it, instead of the table's own.
    runs: folder of your trainings, with ``<recipe's name>/model.safetensors``. weights: files by name, see
        ``needs.weight_names``. download: whether what is not on this machine may be fetched.
    device: where to compute. What is evaluated now is logged.

    A row whose weights or data are not here is told, with what brings them, and the others are run. Images are judged
    by this process alone. Returns the report. Raises MaskAdapterError, one line, for a mistake in what was given and
    where no row could be run (the table is written nevertheless, but not over one that has numbers); KeyboardInterrupt
    says what is done.
    """
    original = table_named(table)
    made = with_own(original, None if model is None else str(model), None if data is None else str(data))
    files = {name: Path(path) for name, path in (weights or {}).items()}
    for name, path in files.items():
        if name not in weight_names(made):
            choice = ", ".join(sorted(weight_names(made))) or "none; leave it out"
            raise MaskAdapterError(f"{made.name} has no weights called '{name}': choose from {choice}")
        if not path.is_file():
            raise MaskAdapterError(f"there is no file {path}, which is given as the weights of {name}")
    check_device(device)
    folder = Path("reproduce") / original.name if output is None else Path(output)
    given = Given(Path(runs), files, download)
    bench = _Bench(made, original, given, folder, root, subset, str(split or made.split), limit, device)
    report = TableReport(made, original, bench.cells(), bench.facts)
    written = folder / f"{made.name}.md"
    kept = not report.measured and holds_numbers(written.with_suffix(".json"))
    if not kept:
        report.save(folder)
    if not report.measured:
        reasons = list(report.reasons)
        more = f"; all {len(reasons)} reasons stand in {written}" if len(reasons) > 1 else ""
        if kept:
            more = f"; {written} has the numbers of before and is left as it was"
        raise MaskAdapterError(readable(f"no row of {made.name} could be run: {reasons[0]}{more}"))
    return report


@dataclass(frozen=True)
class _Evaluated:
    """What is left of an evaluation. names: of the P images. counts: of a measure, (P, 3, K). seconds: the median of
    an image. whole: whether it is of all images that the paper measured."""

    names: tuple[str, ...]
    counts: Callable[[str], np.ndarray]
    partition: Partition | None
    seconds: float
    folder: Path
    whole: bool


@dataclass(frozen=True)
class _Bench:
    """Runs one table."""

    table: Table
    original: Table
    given: Given
    folder: Path
    root: str | Path | None
    subset: str
    split: str
    limit: int | None
    device: str

    @property
    def facts(self) -> dict[str, Any]:
        limit = {} if self.limit is None else {"images": f"the first {self.limit:,} at most"}
        return {"subset": self.subset, **limit, "device": self.device}

    @cached_property
    def _datasets(self) -> dict[str, Dataset | MaskAdapterError]:
        """Those that are here, and of the others why they are not."""
        opened: dict[str, Dataset | MaskAdapterError] = {}
        for name in dict.fromkeys(column.dataset for column in self.table.columns):
            try:
                opened[name] = open_dataset(name, self.root, self.subset)
            except MaskAdapterError as error:
                opened[name] = error
        return opened

    def cells(self) -> dict[tuple[str, str], Cell]:
        """Every cell of the table; columns that differ in their measure alone share one evaluation."""
        trials: dict[tuple[str, str], list[Column]] = {}
        for row in self.table.rows:
            for column in self.table.columns:
                trials.setdefault((row.label, _trial(column)), []).append(column)
        rows = {row.label: row for row in self.table.rows}
        cells: dict[tuple[str, str], Cell] = {}
        drawn: dict[tuple[str, str], tuple[tuple[str, ...], np.ndarray]] = {}
        for number, ((label, _), columns) in enumerate(trials.items()):
            row = rows[label]
            missing = self._missing(row, columns[0])
            try:
                if not missing:
                    _log.info(f"{number + 1} of {len(trials)}: {label} on {columns[0].dataset}")
                    evaluated = self._evaluate(row, columns)
            except MaskAdapterError as error:
                missing = (str(error),)
            except KeyboardInterrupt as stop:
                done = f"{number} of {len(trials)} evaluations of {self.table.name} are through"
                raise KeyboardInterrupt(f"{done}; {label}: {str(stop) or 'stopped'}") from None
            for column in columns:
                empty = Cell(paper=row.published.get(column.key), missing=missing)
                cells[label, column.key] = empty if missing else self._cell(row, column, evaluated, drawn, cells)
        return cells

    def _missing(self, row: Row, column: Column) -> tuple[str, ...]:
        """What has to be brought first: weights, data or both."""
        missing = []
        for look in (weights_for, proposals_for):
            try:
                look(row, column, self.given)
            except MaskAdapterError as error:
                missing.append(str(error))
        dataset = self._datasets[column.dataset]
        if isinstance(dataset, MaskAdapterError):
            missing.append(str(dataset))
        return (row.cited,) if row.cited else tuple(missing)

    def _evaluate(self, row: Row, columns: Sequence[Column]) -> _Evaluated:
        column = columns[0]
        dataset = self._datasets[column.dataset]
        assert not isinstance(dataset, MaskAdapterError)
        arguments = weights_for(row, column, self.given) | proposals_for(row, column, self.given)
        grouped = any(one.metric.endswith("seen") for one in columns)
        partition = Partition.of(self.split, dataset.vocabulary, self.table.split) if grouped else None
        with busy("loading the model"):
            predictor = model_predictor(
                ModelSource(**{key: arguments.pop(key) for key in ("name", "pooler", "adapter") if key in arguments}),
                dataset,
                device=self.device,
                branch=arguments["branch"],
                masks=None if arguments["proposals"] == "generator" else arguments["proposals"],
            )
        reference = {}
        if predictor.published_as is not None:
            reference = reference_figures(*predictor.published_as, dataset, arguments["branch"], partition)
        folder = self.folder / _place(row) / _trial(column)
        timed = _Timed(predictor.predict, folder / "seconds.txt", torch.device(self.device))
        report = evaluate(
            timed,
            dataset,
            folder,
            metrics=("masks",) if arguments["proposals"] == TRUE_MASKS else ("semantic",),
            limit=self.limit,
            partition=partition,
            settings={**_written(predictor.settings), "split": self.subset},
            reference=reference,
            share=(0, 1),
        )
        images = int(report.facts["images"])
        records = Records(folder)
        records.refresh()
        known = KNOWN.get(dataset.name)
        return _Evaluated(
            names=tuple(record["name"] for record in records.read(images)),
            counts=lambda metric: image_counts(records.read(images), metric, len(dataset.vocabulary)),
            partition=partition,
            seconds=timed.median(),
            folder=folder,
            whole=known is not None and self.subset == "val" and images == known.splits["val"].count,
        )

    def _cell(
        self,
        row: Row,
        column: Column,
        evaluated: _Evaluated,
        drawn: dict[tuple[str, str], tuple[tuple[str, ...], np.ndarray]],
        cells: Mapping[tuple[str, str], Cell],
    ) -> Cell:
        """drawn: names of the images and draws of the cells so far, to which this one's are added."""
        paper = row.published.get(column.key)
        cell = Cell(paper=paper, seconds=evaluated.seconds, images=len(evaluated.names), folder=str(evaluated.folder))
        counts = evaluated.counts(column.metric)
        if not counts[:, 2].any():  # of masks that overlap nothing is painted
            return cell
        partition, number = evaluated.partition, metric_function(column.metric, evaluated.partition)
        draws = bootstrap(counts, number)
        drawn[row.label, column.key] = evaluated.names, draws
        of_group = partition is None or not column.metric.endswith("seen") or partition.counts == SEEN_AND_UNSEEN
        own = row in self.original.rows and column in self.original.columns
        measured = number(counts.sum(axis=0))
        cell = replace(cell, measured=measured, error=standard_error(draws))
        cell = replace(cell, comparable=paper is not None and own and evaluated.whole and of_group)
        names, other = drawn.get((row.against, column.key), ((), draws))
        if names != evaluated.names:
            return cell
        difference = measured - cells[row.against, column.key].measured
        return replace(cell, difference=difference, difference_error=standard_error(draws - other))


class _Timed:
    """A function of images, and a file with the seconds of each call, a line each, which a later run goes on with."""

    def __init__(self, predict: Callable[..., Any], path: Path, device: torch.device) -> None:
        self.predict, self.path, self.device = predict, path, device

    def __call__(self, *given: np.ndarray) -> Any:
        clock = Clock(self.device)
        with clock.part("image"):
            result = self.predict(*given)
        with self.path.open("a", encoding="ascii") as file:
            file.write(f"{clock.seconds['image']:.6f}\n")
        return result

    def median(self) -> float:
        """Seconds; NaN where none are noted."""
        if not self.path.is_file():
            return math.nan
        # A line without its end was cut off.
        lines = self.path.read_text(encoding="ascii").split("\n")[:-1]
        return statistics.median(map(float, lines)) if lines else math.nan


def _trial(column: Column) -> str:
    """Name of the folder of what a column is an evaluation of: the same for those that differ in the measure alone."""
    ways = ["true-masks"] * (column.proposals == TRUE_MASKS) + [f"branch-{column.branch}"] * (column.branch is not None)
    return _slug("-".join([Path(column.dataset).stem, *ways]))


def _place(row: Row) -> str:
    """Name of a row's folder. Files of two folders of the same name are told apart by a hash of the path."""
    if row.recipe or not Path(row.model).is_file():
        return _slug(row.label)
    return f"{_slug(row.label)}-{sha256(os.fsencode(Path(row.model).absolute())).hexdigest()[:8]}"


def _written(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Files among them may have names that are no text."""
    return {name: readable(value) if isinstance(value, str) else value for name, value in settings.items()}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")
