"""``maskadapter prepare``."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def prepare(
    name: Annotated[
        str,
        typer.Argument(
            help="ade20k-150, ade20k-847, pascal-context-59, pascal-context-459, pascal-voc-20, coco-panoptic, "
            "coco-stuff or lvis-v1.",
            show_default=False,
        ),
    ],
    root: Annotated[
        Path, typer.Option(help="Folder for all data sets, or the data set's own folder.", show_default=False)
    ],
    split: Annotated[
        Literal["train", "val"] | None,
        typer.Option(help="Only this split; COCO's training images alone take 19 GB.", show_default=False),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing: use what is in the folder.")] = False,
) -> None:
    """Make a data set ready: download, unpack, convert, count.

    Archives that are in the folder already are used. Given again after a stop, the command goes on where it was.

    Example: [bold]maskadapter prepare ade20k-150 --root datasets[/]
    """
    from maskadapter.data.prepare.preparation import prepare as make_ready

    splits = ("train", "val") if split is None else (split,)
    print(make_ready(name, root, splits, offline=offline))
