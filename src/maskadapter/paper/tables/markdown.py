"""Tables as Markdown: rows and columns as the paper prints them, with the measured numbers in their cells."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from maskadapter.data import KNOWN
from maskadapter.evaluation import RESAMPLES
from maskadapter.paper.table import Column, Table
from maskadapter.paper.tables.report import Cell, TableReport
from maskadapter.system.atomic_files import readable, write_atomically
from maskadapter.system.markdown_table import markdown_table

PARTITION = (
    "Seen and unseen classes: a class is seen where its supercategory in ADE20K has a COCO category, the paper's rule. "
    "The authors' own list is not published: its figures imply 74 and 76 classes, here it is 76 and 74 "
    "(docs/evaluation.md), so that these columns have no difference to the paper's."
)
_WIDTH = 100  # letters of a line of notes
LEGEND = (
    f"Figures alone and in parentheses are the paper's, in percent. Bold: measured ± standard error over images "
    f"(bootstrap, {RESAMPLES:,} samples). With a sign: measured minus paper."
)


def report_text(report: TableReport) -> str:
    """One table, what was measured row against row, and notes."""
    return _text([f"# {heading(report)}", printed_table(report), *_compared(report), notes(_notes(report))])


def page_text(reports: Sequence[TableReport], left: Sequence[Table] = ()) -> str:
    """All tables on one page: an overview, each table, and what is missing with the command that brings it.

    left: tables that the run has not reached.
    """
    lines = []
    for report in reports:
        printed, run = len(report.original.rows), sum(not row.cited for row in report.table.rows)
        differences = [abs(cell.to_paper) for cell in report.cells.values() if not math.isnan(cell.to_paper)]
        largest = f"{max(differences):.2f}" if differences else ""
        lines.append((heading(report), str(printed), str(run), str(report.measured), largest))
    header = ("table", "rows printed", "to run", "measured", "largest difference")
    overview = "\n".join(markdown_table(header, lines, "lrrrr"))
    tables = [
        section for one in reports for section in (f"## {heading(one)}", printed_table(one), notes(one.table.notes))
    ]
    partition = dict.fromkeys(note for report in reports for note in _partition(report))
    about = [*partition, *_others(reports[0]), *_incomplete(reports), *_trained(reports)]
    unfinished = [f"Not reached: {', '.join(one.name for one in left)}. The same command goes on."] if left else []
    introduction = notes([*unfinished, LEGEND, *about, f"Run with {_facts(reports[0])}."])
    return _text(["# The paper's tables", introduction, overview, *tables, *_missing(reports)])


def _missing(reports: Sequence[TableReport]) -> list[str]:
    """What was not run, and why: what a command brings, then what is cited."""
    needed: dict[str, list[str]] = {}
    for report in reports:
        for reason in report.reasons:
            needed.setdefault(reason, []).append(report.table.name.removeprefix("table"))
    lines = [f"{reason} ({'tables' if len(by) > 1 else 'table'} {', '.join(by)})" for reason, by in needed.items()]
    cited = [f"Table {one.table.name.removeprefix('table')}: {line}" for one in reports for line in _cited(one)]
    sections = (("## What is missing", lines), ("## What is cited", cited))
    return [text for title, held in sections if held for text in (title, notes(held))]


def _cited(report: TableReport) -> list[str]:
    return [f"{count} {'rows' if count > 1 else 'row'}: {reason}." for reason, count in report.cited.items()]


def heading(report: TableReport) -> str:
    """Such as ``Table 3: Classification accuracy of ADE20K's ground-truth masks``."""
    own = {Path(one.dataset).stem for one in report.table.columns if one not in report.original.columns}
    here = f"; here on {readable(', '.join(sorted(own)))}" if own else ""
    return f"Table {report.table.name.removeprefix('table')}: {report.table.title}{here}"


def printed_table(report: TableReport) -> str:
    """The table as printed; measured numbers stand before the paper's."""
    table, names = report.table, [_heading(report, column) for column in report.table.columns]
    own = table != report.original
    cells = [[_cell(report.cells[row.id, column.key], own) for column in table.columns] for row in table.rows]
    rows = [[*map(readable, row.printed), *texts] for row, texts in zip(table.rows, cells, strict=True)]
    kept = [place for place, _ in enumerate(table.headers) if place == 0 or any(row[place] for row in rows)]
    kept += range(len(table.headers), len(table.headers) + len(names))
    header, align = [*table.headers, *names], "l" * len(table.headers) + "r" * len(names)
    shown = [[line[place] for place in kept] for line in (header, [*align], *rows)]
    return "\n".join(markdown_table(shown[0], shown[2:], "".join(shown[1])))


def _heading(report: TableReport, column: Column) -> str:
    """A column's name as printed; of other data what it measures."""
    return column.key if column in report.original.columns else readable(column.title)


def _cell(cell: Cell, own: bool) -> str:
    """own: whether the row may be of another model or other data than the paper's figure."""
    paper = "" if cell.paper is None else f"{cell.paper:.1f}"
    if math.isnan(cell.measured):
        return f"- ({paper})" if own and paper else paper or "-"
    away = "" if math.isnan(cell.to_paper) else f", {cell.to_paper:+.2f}"
    return _with_error(f"**{cell.measured:.2f}**", cell.error) + f" ({paper}{away})" * bool(paper)


def _compared(report: TableReport) -> list[str]:
    """A table of the measured rows: against which row they stand on the same images, and the seconds of an image."""
    labels, lines = {row.id: readable(row.label) for row in report.table.rows}, []
    for row in report.table.rows:
        for column in report.table.columns:
            cell = report.cells[row.id, column.key]
            if math.isnan(cell.measured):
                continue
            difference = _with_error(f"{cell.difference:+.2f}", cell.difference_error)
            against = ("", "") if math.isnan(cell.difference) else (difference, labels[row.against])
            seconds = "" if math.isnan(cell.seconds) else f"{cell.seconds:.3g}"
            lines.append((labels[row.id], _heading(report, column), str(cell.images), seconds, *against))
    header = ("row", "column", "images", "s/image", "difference", "from the row")
    return ["## Row against row", "\n".join(markdown_table(header, lines, "llrrrl"))] if lines else []


def _notes(report: TableReport) -> list[str]:
    lines = [LEGEND]
    if report.measured:
        lines.append(
            "Difference: from the other row on the same images ± its own standard error. s/image: the median, without "
            "loading the model and without upsampling label maps."
        )
    about = [*_others(report), *_partition(report), *_incomplete([report]), *_trained([report])]
    lines += [*about, *report.table.notes, f"Run with {_facts(report)}."]
    lines += [f"Not run: {rows}: {reason}" for reason, rows in report.reasons.items()]
    return lines + [f"Cited: {line}" for line in _cited(report)]


def _others(report: TableReport) -> list[str]:
    if report.table == report.original:
        return []
    return ["The paper's figures are of its own models and data: beside others they have no difference."]


def _trained(reports: Sequence[TableReport]) -> list[str]:
    """What the trainings of the user were, since a file's name does not show it."""
    found = dict.fromkeys(cell.trained for report in reports for cell in report.cells.values())
    return [f"Trained: {line}." for line in found if line]


def _partition(report: TableReport) -> list[str]:
    name = report.facts.get("partition")
    if name is None:
        return []
    return [PARTITION if name == "paper-rule" else f"Seen and unseen classes: partition {name}."]


def _incomplete(reports: Sequence[TableReport]) -> list[str]:
    """Known data sets of which not all images were there, without ``limit``."""
    found = {}
    for report in reports:
        names = {column.key: column.dataset for column in report.table.columns}
        for (_, key), cell in report.cells.items():
            if cell.images and (name := names[key]) in KNOWN and "images" not in report.facts:
                whole = KNOWN[name].splits[report.facts["split"]].count
                if cell.images < whole:
                    found[name] = f"{name}, {cell.images:,} of {whole:,} images"
    if not found:
        return []
    return [f"Not the whole data set: {'; '.join(found.values())}. 'maskadapter prepare' says what is missing."]


def _facts(report: TableReport) -> str:
    return ", ".join(f"{name} {value}" for name, value in report.facts.items())


def notes(lines: Iterable[str]) -> str:
    """A list of sentences; commands and paths stay in one piece."""
    wrapper = textwrap.TextWrapper(_WIDTH, "- ", "  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(wrapper.fill, lines))


def write_text(text: str, path: Path) -> None:
    """Write a text whole or not at all; MaskAdapterError where the folder cannot be written."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _text(sections: Iterable[str]) -> str:
    return readable("\n\n".join(filter(None, sections)) + "\n")


def _with_error(number: str, error: float) -> str:
    return number if math.isnan(error) else f"{number} ± {error:.2f}"
