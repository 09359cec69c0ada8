"""Run all rows of a table, and turn each evaluation into the numbers of its cells."""

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from maskadapter.data import Dataset, open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation import bootstrap, metric_function, standard_error
from maskadapter.paper.published import SEEN_AND_UNSEEN
from maskadapter.paper.tables.cell import Cell
from maskadapter.paper.tables.evaluation_folder import evaluation_folder, evaluation_name
from maskadapter.paper.tables.requirements import check_masks, source_for
from maskadapter.paper.tables.row_evaluation import RowEvaluation, RunOptions, evaluate_row
from maskadapter.paper.tables.table import Column, Row, Table

logger = logging.getLogger(__name__)

CellKey = tuple[str, str]
"""A row's label and a column's key."""


@dataclass
class TableRun:
    """One run of one table.

    table: as it is run, perhaps with the user's model or data. original: as the paper has it. cells: the numbers so
    far.
    """

    table: Table
    original: Table
    options: RunOptions
    cells: dict[CellKey, Cell] = field(default_factory=dict)
    # By cell: the names of the images, and the bootstrap's samples of the number.
    _samples: dict[CellKey, tuple[tuple[str, ...], np.ndarray]] = field(default_factory=dict)

    @cached_property
    def _datasets(self) -> dict[str, Dataset | MaskAdapterError]:
        """The data sets of the columns, and for those that cannot be opened the reason."""
        opened: dict[str, Dataset | MaskAdapterError] = {}
        for name in dict.fromkeys(column.dataset for column in self.table.columns):
            try:
                opened[name] = open_dataset(name, self.options.root, self.options.split)
            except MaskAdapterError as error:
                opened[name] = error
        return opened

    def run(self) -> dict[CellKey, Cell]:
        """Fill every cell; columns that differ in their metric alone share one evaluation.

        Rows that lack something are left empty, with the reason. Raises KeyboardInterrupt with a message of what is
        done.
        """
        evaluations: dict[tuple[str, str], list[Column]] = {}
        for row in self.table.rows:
            for column in self.table.columns:
                evaluations.setdefault((row.label, evaluation_name(column)), []).append(column)
        rows = {row.label: row for row in self.table.rows}
        for number, ((label, _), columns) in enumerate(evaluations.items()):
            missing, evaluated = self._missing(rows[label], columns[0]), None
            if not missing:
                logger.info("%d of %d: %s on %s", number + 1, len(evaluations), label, columns[0].dataset)
                try:
                    evaluated = self._evaluate(rows[label], columns)
                except MaskAdapterError as error:
                    missing = (str(error),)
                except KeyboardInterrupt as stop:
                    done = f"{number} of {len(evaluations)} evaluations of {self.table.name} are done"
                    raise KeyboardInterrupt(f"{done}; {label}: {str(stop) or 'stopped'}") from None
            for column in columns:
                paper = rows[label].published.get(column.key)
                cell = Cell(paper=paper, missing=missing)
                self.cells[label, column.key] = (
                    cell if evaluated is None else self._cell(rows[label], column, evaluated)
                )
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

    def _evaluate(self, row: Row, columns: list[Column]) -> RowEvaluation:
        dataset = self._datasets[columns[0].dataset]
        assert not isinstance(dataset, MaskAdapterError)
        folder = self.options.folder / evaluation_folder(row, columns[0])
        return evaluate_row(row, columns, dataset, folder, self.options, self.table.partition)

    def _cell(self, row: Row, column: Column, evaluated: RowEvaluation) -> Cell:
        paper = row.published.get(column.key)
        names = evaluated.image_names
        cell = Cell(paper=paper, seconds=evaluated.seconds, images=len(names), folder=str(evaluated.folder))
        counts = evaluated.counts(column.metric)
        if not counts[:, 2].any():  # no label map is painted of masks that overlap
            return cell
        metric = metric_function(column.metric, evaluated.partition)
        samples, measured = bootstrap(counts, metric), metric(counts.sum(axis=0))
        self._samples[row.label, column.key] = names, samples
        cell = replace(cell, measured=measured, error=standard_error(samples))
        cell = replace(cell, comparable=paper is not None and self._comparable(row, column, evaluated))
        others, other_samples = self._samples.get((row.against, column.key), ((), samples))
        if others != names:
            return cell
        difference = measured - self.cells[row.against, column.key].measured
        return replace(cell, difference=difference, difference_error=standard_error(samples - other_samples))

    def _comparable(self, row: Row, column: Column, evaluated: RowEvaluation) -> bool:
        """Whether the paper's figure is of this model, these images and these classes."""
        if row not in self.original.rows or column not in self.original.columns or not evaluated.whole:
            return False
        partition = evaluated.partition
        return partition is None or not column.metric.endswith("seen") or partition.counts == SEEN_AND_UNSEEN
