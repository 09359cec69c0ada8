"""``maskadapter classify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import maskadapter
from maskadapter.cli.console import show, words
from maskadapter.cli.options import Classes, Device, ImageArgument, with_model_source
from maskadapter.system.progress import busy

if TYPE_CHECKING:
    from maskadapter.hub.model_source import ModelSource


@with_model_source()
def classify(
    image: ImageArgument,
    masks: Annotated[
        Path,
        typer.Option(help="Label or panoptic PNG, COCO JSON, or .npy file of bool (N, H, W).", show_default=False),
    ],
    classes: Classes,
    top: Annotated[int, typer.Option(min=1, help="How many words to print for each mask.")] = 5,
    device: Device = "cpu",
    *,
    source: "ModelSource",
) -> None:
    """Name masks that you already have, from any source.

    Prints the most probable words for each mask.

    Example: [bold]maskadapter classify photo.jpg --masks masks.png --classes ade20k-150[/]
    """
    from maskadapter.io.images import read_image
    from maskadapter.io.masks import mask_parts
    from maskadapter.vocabulary.vocabulary import Vocabulary

    vocabulary, pixels = Vocabulary.of(classes), read_image(image)
    # Masks that cannot be read are told before the model is loaded.
    shares = [float(mask.mean()) for part in mask_parts(masks, pixels.shape[:2], image.name) for mask in part]
    with busy("loading the model"):
        segmenter = maskadapter.load(source, device=device)
    with busy(f"naming {len(shares)} masks"):
        result = segmenter.classify(image, masks, vocabulary)
    show(words(shares, result.top(top)))
