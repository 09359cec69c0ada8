"""What the commands write to the terminal: tables, and what the library logs."""

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from maskadapter.results import Explanation

_MOST_ROWS = 30


class _Lines(logging.Handler):
    """Writes each message as a line on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def show_log() -> None:
    """Show what the library logs while a command runs."""
    logger = logging.getLogger("maskadapter")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines())


def show(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def shares(labels: Any, names: Sequence[str]) -> "Table":
    """Share of pixels of each class that occurs, the largest first, from labels (H, W) int, -1 = none."""
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    from maskadapter.results import NONE, color_of

    counts = np.bincount((labels + 1).ravel(), minlength=len(names) + 1)
    table = Table("", "class", "share of pixels", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    order = [int(index) for index in np.argsort(-counts[1:], kind="stable") if counts[index + 1]]
    for index in order[:_MOST_ROWS]:
        chip = Text("\u25a0", style="rgb({},{},{})".format(*color_of(names[index])))
        table.add_row(chip, Text(names[index]), f"{counts[index + 1] / labels.size:.1%}")
    if len(order) > _MOST_ROWS:
        rest = sum(counts[index + 1] for index in order[_MOST_ROWS:])
        table.add_row("", f"and {len(order) - _MOST_ROWS} more", f"{rest / labels.size:.1%}", style="dim")
    if counts[0]:
        table.add_row("", NONE, f"{counts[0] / labels.size:.1%}", style="dim")
    return table


def best_classes(shares: Sequence[float], best: Sequence[Sequence[tuple[str, float]]]) -> "Table":
    """The most probable classes of each mask: number, share of pixels (from 0 to 1), classes."""
    from rich.table import Table

    table = Table("mask", "share of pixels", "classes", box=None, pad_edge=False)
    table.columns[0].justify = table.columns[1].justify = "right"
    for number, (share, row) in enumerate(zip(shares, best, strict=True), start=1):
        table.add_row(str(number), f"{share:.1%}", _listed(row))
    return table


def class_probabilities(explained: Sequence["Explanation"], pixels: int) -> "Table":
    """The most probable classes of each segment, from ``Segmentation.explain``: name, share of pixels, classes."""
    from rich.table import Table
    from rich.text import Text

    table = Table("segment", "share of pixels", "classes", box=None, pad_edge=False, title_justify="left")
    table.columns[1].justify = "right"
    for one in explained[:_MOST_ROWS]:
        table.add_row(Text(one.name), f"{one.segment.area / pixels:.1%}", _listed(one.classes))
    if len(explained) > _MOST_ROWS:
        rest = sum(one.segment.area for one in explained[_MOST_ROWS:])
        table.add_row(f"and {len(explained) - _MOST_ROWS} more", f"{rest / pixels:.1%}", style="dim")
    return table


def _listed(best: Sequence[tuple[str, float]]) -> "Text":
    from rich.text import Text

    return Text(", ").join(Text(f"{name} {probability:.0%}") for name, probability in best)
