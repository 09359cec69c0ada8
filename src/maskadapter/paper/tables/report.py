"""The numbers of a table, measured and published, and their JSON."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskadapter.paper.table import Column, Row, Table
from maskadapter.system.atomic_files import readable
from maskadapter.system.json_files import write_json


@dataclass(frozen=True)
class Cell:
    """One number of one row, in percent, or the reason why it is missing.

    measured, error: the number and its standard error over images; NaN where nothing could be measured. paper: the
    published number; None where none is printed. comparable: whether that is of the same model, images and classes.
    difference, difference_error: from the row ``Row.against``, where both were evaluated on the same images. seconds:
    the median of an image. images: how many. folder: of the evaluation. trained: what the training of the weights was,
    where the user has one. missing: why it was not measured; () where it was. failed: everything was there, and the
    evaluation refused it.
    """

    measured: float = math.nan
    error: float = math.nan
    paper: float | None = None
    comparable: bool = False
    difference: float = math.nan
    difference_error: float = math.nan
    seconds: float = math.nan
    images: int = 0
    folder: str = ""
    trained: str = ""
    missing: tuple[str, ...] = ()
    failed: bool = False

    @property
    def to_paper(self) -> float:
        """Measured minus published; NaN where the two cannot be compared."""
        return self.measured - self.paper if self.comparable and self.paper is not None else math.nan


@dataclass(frozen=True)
class TableReport:
    """The result of a run of one table, perhaps with the user's model or data. original: as the paper has it.

    cells: by the row's id and the column's key. facts: what else the numbers depend on, ready for JSON.
    """

    table: Table
    original: Table
    cells: Mapping[tuple[str, str], Cell]
    facts: Mapping[str, Any]

    @property
    def measured(self) -> int:
        """Number of rows with at least one evaluation."""
        return sum(any(not self.cells[row.id, c.key].missing for c in self.table.columns) for row in self.table.rows)

    @property
    def cited(self) -> dict[str, int]:
        """Why rows cannot be run -> how many rows."""
        return dict(Counter(row.cited for row in self.table.rows if row.cited))

    @property
    def reasons(self) -> dict[str, str]:
        """Why numbers are missing -> the rows that lack them, with the columns where it is not all of them.

        Without cited rows, which nobody can run.
        """
        found: dict[str, dict[str, list[str]]] = {}
        for row in self.table.rows:
            for column in self.table.columns if not row.cited else ():
                for reason in self.cells[row.id, column.key].missing:
                    found.setdefault(reason, {}).setdefault(row.label, []).append(column.key)
        return {reason: self._list_rows(rows) for reason, rows in found.items()}

    def _list_rows(self, rows: Mapping[str, Sequence[str]]) -> str:
        """Label -> keys of columns, as text."""
        every = [column.key for column in self.table.columns]
        labels_by_columns: dict[str, list[str]] = {}
        for label, keys in rows.items():
            where = "" if list(keys) == every else f" ({', '.join(keys)})"
            labels_by_columns.setdefault(where, []).append(label)
        runnable = {row.label for row in self.table.rows if not row.cited}
        return "; ".join(
            ("all rows" if len(runnable) > 1 and runnable <= set(labels) else "; ".join(labels)) + where
            for where, labels in labels_by_columns.items()
        )

    def save(self, path: Path) -> None:
        """Write everything as JSON; MaskAdapterError where the folder cannot be written."""
        rows = []
        for row in self.table.rows:
            made_with = () if row.cited else ("model", "pooler", "branch", "masks", "recipe")
            use = {name: value for name in made_with if (value := getattr(row, name))}
            printed = dict(zip(self.table.headers, row.printed, strict=True))
            numbers = {column.key: self._json(row, column) for column in self.table.columns}
            rows.append({"row": row.id, "printed": printed, **use, "numbers": numbers})
        content = {"table": self.table.name, "title": self.table.title, **self.facts, "rows": rows}
        text = readable(json.dumps({**content, "notes": list(self.table.notes)}, ensure_ascii=False))
        write_json(path, json.loads(text))

    def _json(self, row: Row, column: Column) -> dict[str, Any]:
        cell = self.cells[row.id, column.key]
        content: dict[str, Any] = {"data set": column.dataset, "metric": column.metric}
        content |= {name: value for name in ("branch", "masks") if (value := getattr(column, name)) is not None}
        if cell.missing:
            content["missing"] = list(cell.missing)
        else:
            content |= {"percent": _or_none(cell.measured), "standard error": _or_none(cell.error)}
            content |= {"images": cell.images, "seconds an image": _or_none(cell.seconds), "folder": cell.folder}
            content |= {"trained": cell.trained} if cell.trained else {}
        if not math.isnan(cell.difference):
            error = _or_none(cell.difference_error)
            content["against"] = {"row": row.against, "difference": cell.difference, "standard error": error}
        content["paper"] = cell.paper
        if cell.comparable:
            content["difference to the paper"] = _or_none(cell.to_paper)
        return content


def holds_numbers(path: Path) -> bool:
    """Whether a table's JSON file exists and has at least one measured number."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return any("percent" in number for row in rows for number in row["numbers"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing, damaged, or another file
        return False


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
