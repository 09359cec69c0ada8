"""``maskadapter segment``."""

from pathlib import Path
from typing import Annotated

import typer

import maskadapter
from maskadapter.cli.console import shares, show
from maskadapter.cli.options import Adapter, Classes, Device, Embedding, ImageArgument, Like, Model
from maskadapter.progress import busy


def segment(
    image: ImageArgument,
    classes: Classes,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("out"),
    save: Annotated[
        str, typer.Option(help="What to write, separated by commas: overlay, labels, panoptic, coco.")
    ] = "overlay,labels",
    model: Model = None,
    embedding: Embedding = None,
    adapter: Adapter = None,
    like: Like = None,
    device: Device = "cpu",
) -> None:
    """Segment a picture into the classes you name.

    Writes the results into a folder and prints what share of the picture each class takes.

    Example: [bold]maskadapter segment photo.jpg --classes "cat, sofa|couch, wall"[/]
    """
    from maskadapter.images import read_image
    from maskadapter.segmentation import check_formats
    from maskadapter.vocabulary import Vocabulary

    formats = check_formats(save)
    vocabulary = Vocabulary.of(classes)
    read_image(image)  # a picture that cannot be read is told before the model is loaded
    with busy("loading the model"):
        segmenter = maskadapter.load(model, embedding=embedding, adapter=adapter, like=like, device=device)
    with busy(f"segmenting {image.name}"):
        result = segmenter.segment(image, vocabulary)
        paths = result.save(output, formats)
        labels = result.semantic()
    show(shares(labels, result.class_names))
    for path in paths:
        print(path)
