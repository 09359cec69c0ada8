"""Write a table with the measured numbers beside the published ones: JSON for programs, Markdown for people."""

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskadapter.evaluation import RESAMPLES
from maskadapter.paper.table import Column, Published, Row, Table
from maskadapter.system.atomic_files import readable, write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

UNKNOWN = "not known here"
"""What stands in place of a published figure that is not in this package."""
_WIDTH = 100  # letters of a line of notes


@dataclass(frozen=True)
class Cell:
    """One number of one row, in percent, or the reason why it is missing.

    measured, error: the number and its standard error over images; NaN where nothing could be measured. paper: the
    published number. comparable: whether that is of the same model, images and classes. difference, difference_error:
    from the row ``Row.against``, where both were evaluated on the same images. seconds: the median of an image. images:
    how many. folder: of the evaluation. missing: why it was not measured; () where it was.
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
    """The result of a run of one table, perhaps with the user's model or data. original: as the paper has it.

    cells: by the row's label and the column's key. facts: what else the numbers depend on, ready for JSON.
    """

    table: Table
    original: Table
    cells: Mapping[tuple[str, str], Cell]
    facts: Mapping[str, Any]

    @property
    def measured(self) -> int:
        """Number of rows with at least one evaluation."""
        return sum(any(not self.cells[row.label, c.key].missing for c in self.table.columns) for row in self.table.rows)

    @property
    def reasons(self) -> dict[str, str]:
        """Why numbers are missing -> the rows that lack them, with the columns where it is not all of them."""
        found: dict[str, dict[str, list[str]]] = {}
        for row in sorted(self.table.rows, key=lambda row: bool(row.cited)):  # first what the user can change
            for column in self.table.columns:
                for reason in self.cells[row.label, column.key].missing:
                    found.setdefault(reason, {}).setdefault(row.label, []).append(column.title)
        return {reason: self._list_rows(rows) for reason, rows in found.items()}

    def _list_rows(self, rows: Mapping[str, Sequence[str]]) -> str:
        """Label -> titles of columns, as text."""
        every = [column.title for column in self.table.columns]
        labels_by_columns: dict[str, list[str]] = {}
        for label, titles in rows.items():
            where = "" if list(titles) == every else f" ({', '.join(titles)})"
            labels_by_columns.setdefault(where, []).append(label)
        runnable = sum(not row.cited for row in self.table.rows)
        return "; ".join(
            ("all rows" if 1 < runnable <= len(labels) else "; ".join(labels)) + where
            for where, labels in labels_by_columns.items()
        )

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Write ``<table>.json`` and ``<table>.md``; MaskAdapterError where the folder cannot be written."""
        rows = []
        for row in self.table.rows:
            made_with = () if row.cited else ("model", "pooler", "branch", "masks", "recipe")
            use = {name: value for name in made_with if (value := getattr(row, name))}
            rows.append({"row": row.label, **use, "numbers": [self._json(row, one) for one in self.table.columns]})
        content = {"table": self.table.name, "title": self.table.title, **self.facts, "rows": rows}
        text = readable(json.dumps({**content, "notes": self._notes()}, ensure_ascii=False))
        path = write_json(Path(folder) / f"{self.table.name}.json", json.loads(text))
        with write_atomically(path.with_suffix(".md")) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")
        return path, path.with_suffix(".md")

    def _json(self, row: Row, column: Column) -> dict[str, Any]:
        cell = self.cells[row.label, column.key]
        content: dict[str, Any] = {"data set": column.dataset, "metric": column.metric}
        content |= {name: value for name in ("branch", "masks") if (value := getattr(column, name)) is not None}
        if cell.missing:
            content["missing"] = list(cell.missing)
        else:
            content |= {"percent": _or_none(cell.measured), "standard error": _or_none(cell.error)}
            content |= {"images": cell.images, "seconds an image": _or_none(cell.seconds), "folder": cell.folder}
        if not math.isnan(cell.difference):
            error = _or_none(cell.difference_error)
            content["against"] = {"row": row.against, "difference": cell.difference, "standard error": error}
        paper = cell.paper
        content["paper"] = paper and {"percent": paper.percent, "about": paper.approximate, "source": paper.source}
        if paper and cell.comparable:
            content["difference to the paper"] = _or_none(cell.measured - paper.percent)
        return content

    def markdown(self) -> str:
        """One Markdown table for every column, then notes on where the numbers come from."""
        title = f"# Table {self.table.name.removeprefix('table')}: {self.table.title}"
        sections = [f"## {column.title}\n\n{self._section(column)}" for column in self.table.columns]
        # Commands and paths stay in one piece.
        wrapper = textwrap.TextWrapper(_WIDTH, "- ", "  ", break_long_words=False, break_on_hyphens=False)
        return readable("\n\n".join([title, *sections, "\n".join(map(wrapper.fill, self._notes()))]) + "\n")

    def _section(self, column: Column) -> str:
        """One column of the table; its optional columns are left out where they are empty."""
        numbers = {row.label: str(number) for number, row in enumerate(self.table.rows, start=1)}
        header, align, required = ("", "row", "measured", "paper", "diff.", "against", "s/image"), "rlrrrrr", 4
        lines = []
        for row in self.table.rows:
            cell = self.cells[row.label, column.key]
            away = f"{cell.measured - cell.paper.percent:+.2f}" if cell.paper and cell.comparable else "nan"
            to_row = f"{numbers.get(row.against)}: {_with_error(f'{cell.difference:+.2f}', cell.difference_error)}"
            lines.append(
                (
                    numbers[row.label],
                    readable(row.label),
                    "-" if math.isnan(cell.measured) else _with_error(f"{cell.measured:.2f}", cell.error),
                    UNKNOWN if cell.paper is None else _figure(cell.paper, f"{cell.paper.percent:.1f}"),
                    "" if cell.paper is None or "nan" in away else _figure(cell.paper, away),
                    "" if math.isnan(cell.difference) else to_row,
                    "" if math.isnan(cell.seconds) else f"{cell.seconds:.3g}",
                )
            )
        kept = [place for place, texts in enumerate(zip(*lines, strict=True)) if place < required or any(texts)]
        names, letters, *rows = [[line[place] for place in kept] for line in (header, align, *lines)]
        return "\n".join(markdown_table(names, rows, "".join(letters)))

    def _notes(self) -> list[str]:
        notes = [f"Measured: percent ± standard error over images (bootstrap, {RESAMPLES:,} samples)."]
        if any(not math.isnan(cell.difference) for cell in self.cells.values()):
            notes.append("Against N: the difference from row N on the same images ± its own standard error.")
        if any(not math.isnan(cell.seconds) for cell in self.cells.values()):
            notes.append("s/image: the median, without loading the model and without upsampling label maps.")
        sources: dict[str, list[str]] = {}
        for row in self.original.rows:
            for published in row.published.values():
                sources.setdefault(published.source, []).append(_figure(published, f"{published.percent:.1f}"))
        for source, figures in sources.items():
            which = f", {', '.join(dict.fromkeys(figures))}" if len(sources) > 1 else ""
            notes.append(f"Source of the paper's figures{which}: {source}.")
        if self.table != self.original:
            own = [row.label for row in self.original.rows if row.published]
            on = dict.fromkeys(column.dataset for column in self.original.columns)
            of = f"its own models and data ({'; '.join(own)}; on {', '.join(on)})"
            notes.append(f"The paper's figures are of {of}: where these differ, no difference is given.")
        notes += [f"{row.label}: {row.note}." for row in self.table.rows if row.note]
        notes += self.table.notes
        notes.append(f"Run with {', '.join(f'{name} {value}' for name, value in self.facts.items())}.")
        return notes + [f"Not run: {rows}: {reason}" for reason, rows in self.reasons.items()]


def holds_numbers(path: Path) -> bool:
    """Whether a table's JSON file exists and has at least one measured number."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return any("percent" in number for row in rows for number in row["numbers"])
    except (OSError, ValueError, KeyError, TypeError):  # missing, damaged, or another file
        return False


def _figure(published: Published, number: str) -> str:
    return f"~{number}" if published.approximate else number


def _with_error(number: str, error: float) -> str:
    return number if math.isnan(error) else f"{number} ± {error:.2f}"


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
