"""``maskadapter reproduce``."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from maskadapter.cli.console import show_markdown
from maskadapter.cli.options import Device, Limit, Precision, Split
from maskadapter.errors import MaskAdapterError


def reproduce(
    table: Annotated[str, Argument(help="A table of the paper, table1 to table11, or all.")],
    root: Annotated[Path | None, Option(help="Folder that holds the data sets.")] = None,
    output: Annotated[Path | None, Option("--output", "-o", help="Folder of all tables; without it reproduce.")] = None,
    model: Annotated[str | None, Option("--model", "-m", help="Your own model in place of every row's.")] = None,
    data: Annotated[str | None, Option(help="A data set's name, or a YAML file, in place of every column's.")] = None,
    split: Split = "val",
    partition: Annotated[
        str | None,
        Option(help="Seen classes, as evaluate takes them; without it paper-rule, on other data coco-panoptic."),
    ] = None,
    limit: Limit = None,
    runs: Annotated[Path, Option(help="Folder of trainings: RECIPE/model.safetensors.")] = Path("runs"),
    weights: Annotated[
        list[str] | None,
        Option(help="A file of yours, NAME=FILE: ovseg, a recipe's name, fcclip-large-adapter. May be repeated."),
    ] = None,
    download: Annotated[bool, Option("--download", help="Download weights that are missing.")] = False,
    device: Device = "cpu",
    precision: Precision = None,
) -> None:
    """Evaluate the rows of a table of the paper, and write the numbers beside the paper's; all writes one page of all.

    Rows whose weights or data are missing are listed with the command that brings them. Stopped, it continues.

    Example: [bold]maskadapter reproduce table3 --root datasets[/]
    """
    from maskadapter.paper.tables import ALL, page_text, report_text
    from maskadapter.paper.tables import reproduce as run

    files: dict[str, str] = {}
    for given in weights or []:
        name, _, file = given.partition("=")
        if not (name and file):
            raise MaskAdapterError(f"--weights {given}: NAME=FILE is needed")
        if name in files:
            raise MaskAdapterError(f"--weights {name} is given twice, {files[name]} and {file}: give one")
        files[name] = file
    own = partial(run, table, root, output, model=model, data=data, split=split, partition=partition)
    reports = own(limit=limit, runs=runs, weights=files, download=download, device=device, precision=precision)
    show_markdown(page_text(reports) if table == ALL else report_text(reports[0]))
    name = ALL if table == ALL else reports[0].table.name
    print((output or Path("reproduce")).expanduser() / f"{name}.md")
