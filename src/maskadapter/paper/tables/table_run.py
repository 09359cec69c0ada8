"""Run all rows of a table, and turn each evaluation into the numbers of its cells."""

import logging
from dataclasses import replace

import numpy as np

from maskadapter.data import Dataset, open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation import Partition, bootstrap, metric_function, standard_error
from maskadapter.paper.published import SEEN_AND_UNSEEN
from maskadapter.paper.table import Column, Row, Table
from maskadapter.paper.tables.evaluation_run import EvaluationRun, FinishedEvaluation, RunOptions, evaluate_run
from maskadapter.paper.tables.report import Cell
from maskadapter.paper.tables.requirements import check_masks, masks_for, source_for
from maskadapter.system.atomic_files import readable

logger = logging.getLogger(__name__)

CellKey = tuple[str, str]  # a row's id and a column's key


class TableRun:
    """One run of one table, perhaps with the user's model or data. original: as the paper has it."""

    def __init__(self, table: Table, original: Table, options: RunOptions) -> None:
        self.table, self.original, self.options = table, original, options
        self.cells: dict[CellKey, Cell] = {}
        self._samples: dict[CellKey, tuple[tuple[str, ...], np.ndarray]] = {}  # names of images, bootstrap's samples
        self._datasets: dict[str, Dataset | MaskAdapterError] = {}  # or the reason why it cannot be opened

    def run(self) -> dict[CellKey, Cell]:
        """Fill every cell; what is the same model on the same data set is evaluated once.

        Rows that lack something get the reason instead. Raises KeyboardInterrupt with a message of what is done.
        """
        for name in dict.fromkeys(column.dataset for column in self.table.columns):
            try:
                self._datasets[name] = open_dataset(name, self.options.given.root, self.options.split)
            except MaskAdapterError as error:
                self._datasets[name] = error
        runs: dict[EvaluationRun, list[tuple[Row, Column]]] = {}
        for row in self.table.rows:
            for column in self.table.columns:
                if missing := self._missing(row, column):
                    self._leave_empty(row, column, *missing)
                    continue
                source, branch = source_for(row, column, self.options.given), column.branch or row.branch
                run = EvaluationRun(source, branch, masks_for(row, column), column.dataset)
                runs.setdefault(run, []).append((row, column))
        for number, (run, wanted) in enumerate(runs.items()):
            label = wanted[0][0].label
            logger.info("%s, %d of %d: %s on %s", self.table.name, number + 1, len(runs), label, run.dataset)
            try:
                evaluated = self._evaluate(run, [column for _, column in wanted])
            except MaskAdapterError as error:
                logger.warning("%s is left out: %s", label, readable(str(error)))
                for row, column in wanted:
                    self._leave_empty(row, column, str(error), failed=True)
                continue
            except KeyboardInterrupt as stop:
                done = f"{number} of {len(runs)} evaluations of {self.table.name} are done"
                raise KeyboardInterrupt(f"{done}; {label}: {str(stop) or 'stopped'}") from None
            for row, column in wanted:
                self.cells[row.id, column.key] = self._cell(row, column, evaluated)
        for row in self.table.rows:
            for column in self.table.columns:
                self._compare(row, column)
        return self.cells

    def _evaluate(self, run: EvaluationRun, columns: list[Column]) -> FinishedEvaluation:
        dataset, partition = self._datasets[run.dataset], None
        assert not isinstance(dataset, MaskAdapterError)
        if any(column.metric.endswith("seen") for column in columns):
            chosen = self.options.partition or self.table.partition
            partition = Partition.of(chosen, dataset.vocabulary, trained_on="coco-panoptic")
        return evaluate_run(run, dataset, self.options, partition)

    def _missing(self, row: Row, column: Column) -> tuple[str, ...]:
        """What the user has to bring first: weights, data or both; () where everything is there."""
        if row.cited:
            return (row.cited,)
        missing = []
        for requirement in (source_for, check_masks):
            try:
                requirement(row, column, self.options.given)
            except MaskAdapterError as error:
                missing.append(str(error))
        dataset = self._datasets[column.dataset]
        return (*missing, str(dataset)) if isinstance(dataset, MaskAdapterError) else tuple(missing)

    def _leave_empty(self, row: Row, column: Column, *missing: str, failed: bool = False) -> None:
        self.cells[row.id, column.key] = Cell(paper=row.published.get(column.key), missing=missing, failed=failed)

    def _cell(self, row: Row, column: Column, evaluated: FinishedEvaluation) -> Cell:
        paper, names = row.published.get(column.key), evaluated.image_names
        folder, trained = str(evaluated.folder), evaluated.trained
        cell = Cell(paper=paper, seconds=evaluated.seconds, images=len(names), folder=folder, trained=trained)
        counts = evaluated.counts(column.metric)
        if not counts[:, 2].any():  # no label map is painted of masks that overlap
            return cell
        metric = metric_function(column.metric, evaluated.partition)
        samples, measured = bootstrap(counts, metric), metric(counts.sum(axis=0))
        self._samples[row.id, column.key] = names, samples
        partition = evaluated.partition if column.metric.endswith("seen") else None
        of_paper = row in self.original.rows and column in self.original.columns and evaluated.whole
        comparable = paper is not None and of_paper and (partition is None or partition.counts == SEEN_AND_UNSEEN)
        return replace(cell, measured=measured, error=standard_error(samples), comparable=comparable)

    def _compare(self, row: Row, column: Column) -> None:
        """Add the difference from the row that this one is compared with, where both have the same images."""
        here, there = (row.id, column.key), (row.against, column.key)
        if not (here in self._samples and there in self._samples and self._samples[here][0] == self._samples[there][0]):
            return
        difference = self.cells[here].measured - self.cells[there].measured
        error = standard_error(self._samples[here][1] - self._samples[there][1])
        self.cells[here] = replace(self.cells[here], difference=difference, difference_error=error)
