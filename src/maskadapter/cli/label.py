"""``maskadapter label``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

import maskadapter
from maskadapter.cli.options import Adapter, Architecture, Background, Classes, Device, Model, Pooler, Prune, Things
from maskadapter.cli.segment import ImagesArgument, Resume, names_of, tell
from maskadapter.system.progress import busy
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary


def label(
    images: ImagesArgument,
    classes: Classes,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the training set, new or empty.")] = Path(
        "dataset"
    ),
    format: Annotated[
        Literal["coco", "yolo", "voc"], typer.Option(help="Format of the labels; yolo and voc need supervision.")
    ] = "coco",
    score: Annotated[float, typer.Option(min=0, max=1, help="Leave out segments with a lower score.")] = 0.5,
    min_area: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out segments that cover a smaller share of the image.")
    ] = 0.001,
    background: Background = BACKGROUND,
    things: Things = None,
    resume: Resume = False,
    model: Model = None,
    pooler: Pooler = None,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
    prune_proposals: Prune = True,
) -> None:
    """Make a training set: images with the segments found in them as labels.

    Example: [bold]maskadapter label photos/ --classes "cat, dog" --format yolo[/]
    """
    from maskadapter.io.image_files import find_image_files
    from maskadapter.pipelines.labeling import label_images

    vocabulary = Vocabulary.of(classes, things)
    others = None if background == "none" else Vocabulary.of(background)
    found = find_image_files(images, output)
    with busy("loading the model"):
        segmenter = maskadapter.load(
            model,
            pooler=pooler,
            adapter=adapter,
            architecture=architecture,
            device=device,
            prune_proposals=prune_proposals,
        )
    settings = names_of(model, pooler, adapter, architecture, prune_proposals)
    run = partial(label_images, segmenter, found, vocabulary, output, format, score, min_area, background=others)
    tell(partial(run, resume=resume, settings=settings), output)
