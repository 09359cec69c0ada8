"""The command ``maskadapter prepare``."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option


def prepare(
    name: Annotated[
        str,
        Argument(
            help="ade20k-150 or -847, pascal-context-59 or -459, pascal-voc-20, coco-panoptic or -stuff, lvis-v1, grand"
        ),
    ],
    root: Annotated[Path, Option(help="Folder of all data sets, or the data set's own folder.")],
    split: Annotated[Literal["train", "val"] | None, Option(help="Only this; COCO's training has 19 GB.")] = None,
    offline: Annotated[bool, Option("--offline", help="Download nothing; use the files in the folder.")] = False,
) -> None:
    """Prepare a data set: download, unpack, convert and count its files. Prints the data set's folder.

    Archives that are in the folder already are used. Run again after an interruption, the command resumes.

    Example: [bold]maskadapter prepare ade20k-150 --root datasets[/]
    """
    from maskadapter.data.prepare import prepare as run

    print(run(name, root, (split,) if split else None, offline=offline))
