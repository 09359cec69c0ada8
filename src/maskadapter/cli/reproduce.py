"""``maskadapter reproduce``."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from maskadapter.cli.options import Device
from maskadapter.errors import MaskAdapterError


def reproduce(
    table: Annotated[str, Argument(help="A table of the paper: table1 to table11.")],
    root: Annotated[Path | None, Option(help="Folder that holds the data sets.")] = None,
    output: Annotated[Path | None, Option("--output", "-o", help="Folder; without it reproduce/<table>.")] = None,
    model: Annotated[str | None, Option("--model", "-m", help="Your own model in place of every row's.")] = None,
    data: Annotated[str | None, Option(help="A data set's name, or a YAML file, in place of every column's.")] = None,
    split: Annotated[Literal["val", "train"], Option(help="Which images of the data sets.")] = "val",
    partition: Annotated[
        str | None,
        Option(
            help="Seen and unseen classes: the name of a list that shares synonyms with the seen ones, or a text file "
            "of their names; without it COCO panoptic's."
        ),
    ] = None,
    limit: Annotated[int | None, Option(min=1, help="Only the first so many images.")] = None,
    runs: Annotated[Path, Option(help="Folder of your trainings, <recipe's name>/model.safetensors in it.")] = Path(
        "runs"
    ),
    weights: Annotated[
        list[str] | None,
        Option(help="A file of yours, NAME=FILE: ovseg, a recipe's name, fcclip-large-adapter. May be repeated."),
    ] = None,
    download: Annotated[bool, Option("--download", help="Download weights that are missing.")] = False,
    device: Device = "cpu",
) -> None:
    """Evaluate the rows of a table of the paper, and write the numbers beside the paper's.

    Rows whose weights or data are missing are listed with the command that brings them. Stopped, the same command
    continues.

    Example: [bold]maskadapter reproduce table3 --root datasets[/]
    """
    from maskadapter.paper.tables import reproduce as run

    files = {}
    for word in weights or []:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise MaskAdapterError(f"--weights {word}: NAME=FILE is needed")
        files[name] = path
    try:
        with _log_on_standard_error():
            report = run(
                table,
                root,
                output,
                model=model,
                data=data,
                split=split,
                partition=partition,
                limit=limit,
                runs=runs,
                weights=files,
                download=download,
                device=device,
            )
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)  # Typer turns it into the exit code and drops its message
        raise
    print(report.markdown())
    print((output or Path("reproduce") / report.table.name) / f"{report.table.name}.md")


class _StandardError(logging.Handler):
    """Print messages to whatever standard error is at that time: a progress bar replaces it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)


@contextmanager
def _log_on_standard_error() -> Iterator[None]:
    logger, handler = logging.getLogger("maskadapter.paper.tables"), _StandardError()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
