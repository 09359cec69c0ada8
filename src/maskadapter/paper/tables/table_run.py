"""Run all rows of a table, and turn each evaluation into the numbers of its cells."""

import logging
from dataclasses import replace

import numpy as np

from maskadapter.data import Dataset, open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation import bootstrap, metric_function, standard_error
from maskadapter.paper.published import SEEN_AND_UNSEEN
from maskadapter.paper.table import Column, Row, Table
from maskadapter.paper.tables.report import Cell
from maskadapter.paper.tables.requirements import check_masks, source_for
from maskadapter.paper.tables.row_evaluation import RowEvaluation, RunOptions, evaluate_row, evaluation_name

logger = logging.getLogger(__name__)

CellKey = tuple[str, str]  # a row's label and a column's key


class TableRun:
    """One run of one table, perhaps with the user's model or data. original: as the paper has it."""

    def __init__(self, table: Table, original: Table, options: RunOptions) -> None:
        self.table, self.original, self.options = table, original, options
        self.cells: dict[CellKey, Cell] = {}
        self._samples: dict[CellKey, tuple[tuple[str, ...], np.ndarray]] = {}  # names of images, bootstrap's samples
        self._datasets: dict[str, Dataset | MaskAdapterError] = {}  # or the reason why it cannot be opened

    def run(self) -> dict[CellKey, Cell]:
        """Fill every cell; columns that differ in their metric alone share one evaluation.

        Rows that lack something get the reason instead. Raises KeyboardInterrupt with a message of what is done.
        """
        for name in dict.fromkeys(column.dataset for column in self.table.columns):
            try:
                self._datasets[name] = open_dataset(name, self.options.root, self.options.split)
            except MaskAdapterError as error:
                self._datasets[name] = error
        evaluations: dict[tuple[str, str], tuple[Row, list[Column]]] = {}
        for row in self.table.rows:
            for column in self.table.columns:
                evaluations.setdefault((row.label, evaluation_name(column)), (row, []))[1].append(column)
        for number, (row, columns) in enumerate(evaluations.values()):
            dataset, missing = self._datasets[columns[0].dataset], self._missing(row, columns[0])
            if not missing and not isinstance(dataset, MaskAdapterError):
                logger.info("%d of %d: %s on %s", number + 1, len(evaluations), row.label, columns[0].dataset)
                try:
                    evaluated = evaluate_row(row, columns, dataset, self.options, self.table.partition)
                except MaskAdapterError as error:
                    missing = (str(error),)
                except KeyboardInterrupt as stop:
                    done = f"{number} of {len(evaluations)} evaluations of {self.table.name} are done"
                    raise KeyboardInterrupt(f"{done}; {row.label}: {str(stop) or 'stopped'}") from None
            for column in columns:
                empty = Cell(paper=row.published.get(column.key), missing=missing)
                self.cells[row.label, column.key] = empty if missing else self._cell(row, column, evaluated)
        return self.cells

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

    def _cell(self, row: Row, column: Column, evaluated: RowEvaluation) -> Cell:
        paper, names = row.published.get(column.key), evaluated.image_names
        cell = Cell(paper=paper, seconds=evaluated.seconds, images=len(names), folder=str(evaluated.folder))
        counts = evaluated.counts(column.metric)
        if not counts[:, 2].any():  # no label map is painted of masks that overlap
            return cell
        metric = metric_function(column.metric, evaluated.partition)
        samples, measured = bootstrap(counts, metric), metric(counts.sum(axis=0))
        self._samples[row.label, column.key] = names, samples
        partition = evaluated.partition if column.metric.endswith("seen") else None
        of_paper = row in self.original.rows and column in self.original.columns and evaluated.whole
        comparable = bool(paper) and of_paper and (partition is None or partition.counts == SEEN_AND_UNSEEN)
        cell = replace(cell, measured=measured, error=standard_error(samples), comparable=comparable)
        others, other_samples = self._samples.get((row.against, column.key), ((), samples))
        if others != names:
            return cell
        difference = measured - self.cells[row.against, column.key].measured
        return replace(cell, difference=difference, difference_error=standard_error(samples - other_samples))
