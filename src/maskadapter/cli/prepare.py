"""The command ``maskadapter prepare``."""

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
        Path, typer.Option(help="Folder of all data sets, or the data set's own folder.", show_default=False)
    ],
    split: Annotated[
        Literal["train", "val"] | None,
        typer.Option(help="Only this split; COCO's training images take 19 GB.", show_default=False),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing; use the files in the folder.")] = False,
) -> None:
    """Prepare a data set: download, unpack, convert and count its files. Prints the data set's folder.

    Archives that are in the folder already are used. Run again after an interruption, the command resumes.

    Example: [bold]maskadapter prepare ade20k-150 --root datasets[/]
    """
    from maskadapter.data.prepare import prepare as prepare_files

    splits = ("train", "val") if split is None else (split,)
    print(prepare_files(name, root, splits, offline=offline))
