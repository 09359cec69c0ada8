"""Progress bars and spinners on standard error; nothing is shown unless that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def bar(what: str, total: int | None, done: int = 0, in_bytes: bool = False) -> Iterator[Callable[..., None]]:
    """Show a progress bar while the block runs; yields a function to call with the number of steps just
    done and, if it shall change, with what is shown before the bar.

    what: shown before the bar. total: number of steps, None where it is not known. done: steps that were done before.
    in_bytes: the steps are bytes, and the speed is shown.
    """
    if not _console().is_interactive:
        yield lambda steps, what=None: None
        return
    from rich import progress as rich

    counts = (rich.DownloadColumn(), rich.TransferSpeedColumn()) if in_bytes else (rich.MofNCompleteColumn(),)
    text, time_left = rich.TextColumn("{task.description}", markup=False), rich.TimeRemainingColumn()
    with rich.Progress(text, rich.BarColumn(), *counts, time_left, console=_console(), transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda steps, what=None: progress.update(task, advance=steps, description=what)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show a spinner while the block runs."""
    if not _console().is_interactive:
        yield
        return
    from rich.text import Text

    with _console().status(Text(f"{what} ...")):
        yield


@cache
def _console() -> "Console":
    # One for all: bars and spinners inside one another need to know of each other.
    from rich.console import Console

    return Console(stderr=True)
