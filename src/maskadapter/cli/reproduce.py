"""``maskadapter reproduce``."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from maskadapter.cli.options import Device
from maskadapter.errors import MaskAdapterError


def reproduce(
    table: Annotated[str, typer.Argument(help="A table of the paper: table1 to table11.", show_default=False)],
    root: Annotated[Path | None, typer.Option(help="Folder that holds the data sets.", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder; without it reproduce/<table>.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A model of your own in place of every row's.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A data set's name, or a YAML file, in place of every column's.", show_default=False),
    ] = None,
    subset: Annotated[Literal["val", "train"], typer.Option(help="Which images of the data sets.")] = "val",
    split: Annotated[
        str | None,
        typer.Option(
            help="Seen and unseen classes: the name of a list that shares synonyms with the seen ones, or a text file "
            "of their names; without it COCO panoptic's.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.", show_default=False)] = None,
    runs: Annotated[
        Path, typer.Option(help="Folder of your trainings, <recipe's name>/model.safetensors in it.")
    ] = Path("runs"),
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="A file that you have, NAME=FILE: ovseg, a recipe's name, fcclip-large-adapter. May be repeated.",
            show_default=False,
        ),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch what is not on this machine.")] = False,
    device: Device = "cpu",
) -> None:
    """Evaluate what a table of the paper holds, and write it beside the paper's values.

    Rows whose weights or data are not here are told, with what brings them. Stopped, the same command goes on where it
    was.

    Example: [bold]maskadapter reproduce table3 --root datasets[/]
    """
    from maskadapter.paper.tables.reproduction import reproduce as run

    files = {}
    for word in weights or []:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise MaskAdapterError(f"--weights {word}: NAME=FILE is needed")
        files[name] = path
    try:
        report = run(
            table,
            root,
            output,
            model=model,
            data=data,
            subset=subset,
            split=split,
            limit=limit,
            runs=runs,
            weights=files,
            download=download,
            device=device,
        )
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)  # Typer makes it the exit code and forgets what it says
        raise
    print(report.markdown())
    print((output or Path("reproduce") / report.table.name) / f"{report.table.name}.md")
