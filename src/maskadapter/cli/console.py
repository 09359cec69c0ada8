"""What the commands write to the terminal: tables, and what the library logs."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from maskadapter.system.stop_signals import is_termination

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from maskadapter.results import Classification, Explanation

_MOST_ROWS = 30


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def show_log() -> None:
    """Show what the library logs while a command runs."""
    logger = logging.getLogger("maskadapter")
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a library that logs by the root logger gives that a handler, which would repeat all
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines(logging.INFO))


@contextmanager
def stop_message() -> Iterator[None]:
    """Print the message of a KeyboardInterrupt, of which Typer keeps nothing, and exit: 130 Ctrl-C, 143 SIGTERM."""
    try:
        yield
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        raise typer.Exit(143 if is_termination(stop) else 130) from None


def show_help(context: typer.Context) -> None:
    """The callback of a group of commands without one of them."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def show(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def show_markdown(text: str) -> None:
    """Print Markdown: in a terminal laid out to its width, elsewhere as it is."""
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class Folded(TableElement):
        """A word that is longer than its cell goes on in the next line, instead of being cut off."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for made in super().__rich_console__(console, options):
                if isinstance(made, Table):
                    for column in made.columns:
                        column.overflow = "fold"
                yield made

    page = Markdown(text)
    page.elements = {**Markdown.elements, "table_open": Folded}  # type: ignore[misc]  # of this page alone
    Console().print(page)


def table(*columns: str, right: Sequence[int] = ()) -> "Table":
    """A table without lines. right: the columns, from 0, that are flush right."""
    from rich.table import Table

    made = Table(*columns, box=None, pad_edge=False)
    for index in right:
        made.columns[index].justify = "right"
    return made


def shares(labels: Any, names: Sequence[str]) -> "Table":
    """Share of pixels of each class that occurs, the largest first, from labels (H, W) int, -1 = none."""
    import numpy as np
    from rich.text import Text

    from maskadapter.results import NONE, colors_of, pixel_counts

    counts = pixel_counts(labels, -1, len(names) + 1)
    made, colors = table("", "class", "share of pixels", right=[2]), colors_of(names)
    order = [int(index) for index in np.argsort(-counts[1:], kind="stable") if counts[index + 1]]
    for index in order[:_MOST_ROWS]:
        chip = Text("\u25a0", style="rgb({},{},{})".format(*colors[index]))
        made.add_row(chip, Text(names[index]), f"{counts[index + 1] / labels.size:.1%}")
    if rest := order[_MOST_ROWS:]:
        share = sum(counts[index + 1] for index in rest) / labels.size
        made.add_row("", f"and {len(rest)} more", f"{share:.1%}", style="dim")
    if counts[0]:
        made.add_row("", NONE, f"{counts[0] / labels.size:.1%}", style="dim")
    return made


def best_classes(result: "Classification", top: int) -> "Table":
    """The ``top`` most probable classes of each mask: number, share of pixels, classes."""
    made = table("mask", "share of pixels", "classes", right=[0, 1])
    for segment in result:
        classes = _listed(segment.top(top)) if segment.area else "no class: the mask is empty"
        made.add_row(str(segment.id), f"{segment.area / (result.size[0] * result.size[1]):.1%}", classes)
    return made


def class_probabilities(explained: Sequence["Explanation"], pixels: int) -> "Table":
    """The most probable classes of each segment, from ``Segmentation.explain``: name, share of pixels, classes."""
    from rich.text import Text

    made = table("segment", "share of pixels", "classes", right=[1])
    for one in explained[:_MOST_ROWS]:
        made.add_row(Text(one.name), f"{one.segment.area / pixels:.1%}", _listed(one.classes))
    if rest := explained[_MOST_ROWS:]:
        made.add_row(f"and {len(rest)} more", f"{sum(one.segment.area for one in rest) / pixels:.1%}", style="dim")
    return made


def _listed(best: Sequence[tuple[str, float]]) -> "Text":
    from rich.text import Text

    return Text(", ").join(Text(f"{name} {probability:.0%}") for name, probability in best)
