"""A table with what was measured beside what was published: JSON for programs, Markdown for people."""

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskadapter.evaluation.bootstrap import RESAMPLES
from maskadapter.paper.tables.table import Column, Published, Row, Table
from maskadapter.system.atomic_files import readable, write_atomically
from maskadapter.system.json_files import write_json

WIDTH = 100
"""Columns of text that are aimed at."""

UNKNOWN = "not known here"


@dataclass(frozen=True)
class Cell:
    """One number of one row, in percent, or why there is none.

    measured, error: with its standard error over images; NaN where there is nothing to measure. paper: what was
    published. comparable: whether it is of this model, these images and these classes. difference, difference_error:
    from the row ``Row.against``, where both judged the same images. seconds: the median of an image. images: how
    many. folder: of the evaluation. missing: why it was not measured, nothing where it was.
    """

    measured: float = math.nan
    error: float = math.nan
    paper: Published | None = None
    comparable: bool = False
    difference: float = math.nan
    difference_error: float = math.nan
    seconds: float = math.nan
    images: int = 0
    folder: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableReport:
    """table: as it was run, with one's own model or data where they were given. original: as the paper has it. cells:
    by the row's label and the column's key. facts: what else the numbers depend on, ready for JSON."""

    table: Table
    original: Table
    cells: Mapping[tuple[str, str], Cell]
    facts: Mapping[str, Any]

    @property
    def measured(self) -> int:
        """How many rows have at least one evaluation."""
        return sum(any(not self.cells[row.label, c.key].missing for c in self.table.columns) for row in self.table.rows)

    @property
    def reasons(self) -> dict[str, str]:
        """Why there are numbers missing -> which rows it concerns, and in which columns where not in all."""
        found: dict[str, dict[str, list[str]]] = {}
        for row in sorted(self.table.rows, key=lambda row: bool(row.cited)):  # first what can be helped
            for column in self.table.columns:
                for reason in self.cells[row.label, column.key].missing:
                    found.setdefault(reason, {}).setdefault(row.label, []).append(column.title)
        return {reason: self._concerned(rows) for reason, rows in found.items()}

    def _concerned(self, rows: Mapping[str, Sequence[str]]) -> str:
        every = [column.title for column in self.table.columns]
        told: dict[str, list[str]] = {}
        for label, titles in rows.items():
            told.setdefault("" if list(titles) == every else f" ({', '.join(titles)})", []).append(label)
        runnable = sum(not row.cited for row in self.table.rows)
        return "; ".join(
            ("all rows" if 1 < runnable <= len(labels) else "; ".join(labels)) + where for where, labels in told.items()
        )

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Write ``<table>.json`` and ``<table>.md``; MaskAdapterError where the folder cannot be written."""
        rows = [
            {"row": row.label, **_made_with(row), "numbers": [self._json(row, column) for column in self.table.columns]}
            for row in self.table.rows
        ]
        content = {"table": self.table.name, "title": self.table.title, **self.facts, "rows": rows}
        text = json.dumps({**content, "notes": self._notes()}, ensure_ascii=False)
        path = write_json(Path(folder) / f"{self.table.name}.json", json.loads(readable(text)))
        with write_atomically(path.with_suffix(".md")) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")
        return path, path.with_suffix(".md")

    def _json(self, row: Row, column: Column) -> dict[str, Any]:
        cell = self.cells[row.label, column.key]
        told: dict[str, Any] = {"data set": column.dataset, "metric": column.metric}
        told |= {name: value for name in ("branch", "proposals") if (value := getattr(column, name)) is not None}
        if cell.missing:
            told["missing"] = list(cell.missing)
        else:
            told |= {"percent": _or_none(cell.measured), "standard error": _or_none(cell.error)}
            told |= {"images": cell.images, "seconds an image": _or_none(cell.seconds), "folder": cell.folder}
        if not math.isnan(cell.difference):
            told["against"] = {"row": row.against, "difference": cell.difference}
            told["against"]["standard error"] = _or_none(cell.difference_error)
        paper = cell.paper
        told["paper"] = paper and {"percent": paper.percent, "about": paper.approximate, "source": paper.source}
        if paper is not None and cell.comparable:
            told["difference to the paper"] = _or_none(cell.measured - paper.percent)
        return told

    def markdown(self) -> str:
        """One table for every column of the paper's, then what is to be known about them."""
        parts = [f"# Table {self.table.name.removeprefix('table')}: {self.table.title}"]
        for column in self.table.columns:
            parts.append(f"## {column.title}\n\n{self._section(column)}")
        parts.append("\n".join(_item(note) for note in self._notes()))
        return readable("\n\n".join(parts) + "\n")

    def _section(self, column: Column) -> str:
        numbers = {row.label: str(number) for number, row in enumerate(self.table.rows, start=1)}
        lines = [["", "row", "measured", "paper", "diff.", "against", "s/image"]]
        for row in self.table.rows:
            cell = self.cells[row.label, column.key]
            against = _signed(cell.difference, cell.difference_error)
            lines.append(
                [
                    numbers[row.label],
                    row.label,
                    _with_error(f"{cell.measured:.2f}", cell.error),
                    UNKNOWN if cell.paper is None else f"{_about(cell.paper)}{cell.paper.percent:.1f}",
                    _difference(cell),
                    f"{numbers[row.against]}: {against}" if against else "",
                    "" if math.isnan(cell.seconds) else f"{cell.seconds:.3g}",
                ]
            )
        kept = [place for place in range(len(lines[0])) if place < 4 or any(line[place] for line in lines[1:])]
        return _aligned([[line[place] for place in kept] for line in lines])

    def _notes(self) -> list[str]:
        notes = [f"Measured: percent ± standard error over images (bootstrap, {RESAMPLES:,} resamples)."]
        if any(not math.isnan(cell.difference) for cell in self.cells.values()):
            notes.append("Against N: the difference from row N on the same images ± its own standard error.")
        if any(not math.isnan(cell.seconds) for cell in self.cells.values()):
            notes.append("s/image: the median, without loading the model and without enlarging maps of classes.")
        sources: dict[str, list[str]] = {}
        for row in self.original.rows:
            for published in row.published.values():
                sources.setdefault(published.source, []).append(f"{_about(published)}{published.percent:.1f}")
        for source, figures in sources.items():
            which = f", {', '.join(dict.fromkeys(figures))}" if len(sources) > 1 else ""
            notes.append(f"Source of the paper's figures{which}: {source}.")
        if self.table != self.original:
            own = [row.label for row in self.original.rows if row.published]
            on = dict.fromkeys(column.dataset for column in self.original.columns)
            notes.append(
                f"The paper's figures are of its own models and data ({'; '.join(own)}; on {', '.join(on)}): where "
                "these are others, no difference is told."
            )
        notes += [f"{row.label}: {row.note}." for row in self.table.rows if row.note]
        notes += self.table.notes
        notes.append(f"Run with {', '.join(f'{name} {value}' for name, value in self.facts.items())}.")
        return notes + [f"Not run: {rows}: {reason}" for reason, rows in self.reasons.items()]


def holds_numbers(path: Path) -> bool:
    """Whether a table's JSON is there and has something measured."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return any("percent" in number for row in rows for number in row["numbers"])
    except (OSError, ValueError, KeyError, TypeError):  # none, damaged, or something else
        return False


def _made_with(row: Row) -> dict[str, str]:
    names = ("model", "pooler", "branch", "proposals", "recipe")
    return {} if row.cited else {name: value for name in names if (value := getattr(row, name))}


def _about(published: Published) -> str:
    return "~" if published.approximate else ""


def _with_error(number: str, error: float) -> str:
    if number == "nan":
        return "-"
    return number if math.isnan(error) else f"{number} ± {error:.2f}"


def _signed(number: float, error: float) -> str:
    return "" if math.isnan(number) else _with_error(f"{number:+.2f}", error)


def _difference(cell: Cell) -> str:
    if cell.paper is None or not cell.comparable or math.isnan(cell.measured):
        return ""
    return f"{_about(cell.paper)}{cell.measured - cell.paper.percent:+.2f}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table that reads well as text: the first row is the head, numbers stand at the right."""
    lines = [[readable(text).replace("|", r"\|") for text in line] for line in lines]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width if place == 1 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    rows = [
        [text.ljust(width) if place == 1 else text.rjust(width) for place, (text, width) in enumerate(padded)]
        for padded in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def _item(note: str) -> str:
    # Commands and paths stay in one piece.
    return textwrap.fill(
        note, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
