"""``maskadapter label``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

import maskadapter
from maskadapter.cli.options import Adapter, Background, Classes, Device, Embedding, Fast, Like, Model, Things
from maskadapter.cli.segment import Pictures, Resume, names_of, tell
from maskadapter.progress import busy
from maskadapter.vocabulary import BACKGROUND, Vocabulary


def label(
    pictures: Pictures,
    classes: Classes,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the set; it has to be new or empty.")
    ] = Path("dataset"),
    format: Annotated[Literal["coco", "yolo", "voc"], typer.Option(help="How the set is written.")] = "coco",
    score: Annotated[float, typer.Option(min=0, max=1, help="Segments less sure than this are left out.")] = 0.5,
    min_area: Annotated[
        float, typer.Option(min=0, max=1, help="So are those that cover a smaller share of the picture.")
    ] = 0.001,
    background: Background = BACKGROUND,
    things: Things = None,
    resume: Resume = False,
    model: Model = None,
    embedding: Embedding = None,
    adapter: Adapter = None,
    like: Like = None,
    device: Device = "cpu",
    fast: Fast = True,
) -> None:
    """Make a training set: pictures with the segments found in them.

    Example: [bold]maskadapter label photos/ --classes "cat, dog" --format yolo[/]
    """
    from maskadapter.labelling import label_pictures
    from maskadapter.pictures import find_pictures

    vocabulary = Vocabulary.of(classes, things)
    others = None if background == "none" else Vocabulary.of(background)
    found = find_pictures(pictures, output)
    with busy("loading the model"):
        segmenter = maskadapter.load(model, embedding=embedding, adapter=adapter, like=like, device=device, fast=fast)
    settings = names_of(model, embedding, adapter, like, fast)
    run = partial(label_pictures, segmenter, found, vocabulary, output, format, score, min_area, background=others)
    tell(partial(run, resume=resume, settings=settings), output)
