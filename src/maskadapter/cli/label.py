"""``maskadapter label``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import maskadapter
from maskadapter.cli.options import Background, Classes, Device, Prune, Things, with_model_source
from maskadapter.cli.segment import ImagesArgument, Resume, names_of, tell
from maskadapter.system.progress import busy
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from maskadapter.hub.model_source import ModelSource


@with_model_source()
def label(
    images: ImagesArgument,
    classes: Classes,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the set; it has to be new or empty.")
    ] = Path("dataset"),
    format: Annotated[Literal["coco", "yolo", "voc"], typer.Option(help="How the set is written.")] = "coco",
    score: Annotated[float, typer.Option(min=0, max=1, help="Segments less sure than this are left out.")] = 0.5,
    min_area: Annotated[
        float, typer.Option(min=0, max=1, help="So are those that cover a smaller share of the image.")
    ] = 0.001,
    background: Background = BACKGROUND,
    things: Things = None,
    resume: Resume = False,
    device: Device = "cpu",
    prune_proposals: Prune = False,
    *,
    source: "ModelSource",
) -> None:
    """Make a training set: images with the segments found in them.

    Example: [bold]maskadapter label photos/ --classes "cat, dog" --format yolo[/]
    """
    from maskadapter.io.image_files import find_image_files
    from maskadapter.pipelines.labeling import label_images

    vocabulary = Vocabulary.of(classes, things)
    others = None if background == "none" else Vocabulary.of(background)
    found = find_image_files(images, output)
    with busy("loading the model"):
        segmenter = maskadapter.load(source, device=device, prune_proposals=prune_proposals)
    settings = names_of(source, prune_proposals)
    run = partial(label_images, segmenter, found, vocabulary, output, format, score, min_area, background=others)
    tell(partial(run, resume=resume, settings=settings), output)
