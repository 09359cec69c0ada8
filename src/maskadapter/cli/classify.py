"""``maskadapter classify``."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

import maskadapter
from maskadapter.cli.console import best_classes, show
from maskadapter.cli.options import MASK_SOURCES, Classes, Device, ModelSource, with_model_source
from maskadapter.system.progress import busy


@with_model_source()
def classify(
    image: Annotated[Path, Argument(help="The image: JPEG, PNG, WebP, TIFF ...")],
    masks: Annotated[str, Option(help=f"Where the masks come from: {MASK_SOURCES}")],
    classes: Classes,
    top: Annotated[int, Option(min=1, help="How many classes to print for each mask.")] = 5,
    device: Device = "cpu",
    *,
    source: ModelSource,
) -> None:
    """Classify masks that you already have, from any source, and print the most probable classes of each.

    Example: [bold]maskadapter classify photo.jpg --masks masks.png --classes ade20k-150[/]
    """
    from maskadapter.io import mask_parts, read_image
    from maskadapter.models.sources import masks_from
    from maskadapter.vocabulary import Vocabulary

    vocabulary, pixels = Vocabulary.of(classes), read_image(image)
    given: object = masks_from(masks, device)
    if callable(given):
        with busy("making masks"):
            given = given(pixels)
    # Masks that cannot be read fail before the model is loaded.
    shares = [float(mask.mean()) for part in mask_parts(given, pixels.shape[:2], image.name) for mask in part]
    with busy("loading the model"):
        segmenter = maskadapter.load(source, device=device)
    with busy(f"classifying {len(shares)} masks"):
        result = segmenter.classify(image, given, vocabulary)
    show(best_classes(shares, result.top(top)))
