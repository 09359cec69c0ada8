"""What the commands that draw figures share: their options, and checks before PyTorch is imported."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from maskadapter.errors import MaskAdapterError
from maskadapter.system.paths import check_folder, user_path
from maskadapter.vocabulary import BACKGROUND, Vocabulary, competing_classes

if TYPE_CHECKING:
    from maskadapter.hub import ModelSource

Output = Annotated[Path, Option("--output", "-o", help="File to write: .png, .pdf or .svg.")]
Images = Annotated[list[str], Argument(help="Files, folders or patterns.")]
Classes = Annotated[str | None, Option("--classes", "-c", help="Class names, a file or a built-in list.")]
GivenMasks = Annotated[
    Path | None,
    Option(
        "--masks",
        help="Label map or panoptic PNG, COCO JSON, .npy of bool (N, H, W); without it the segments found.",
    ),
]
FCCLIP = "fcclip-large"
Model = Annotated[str, Option("--model", "-m", help="A model's name or a file of weights, with an adapter.")]
Limit = Annotated[int, Option(min=1, help="Only the first so many images of the data set.")]
Number = Annotated[list[int] | None, Option(min=0, help="Only this image of it, from 0. May be repeated.")]


Adapters = Annotated[
    list[str] | None,
    Option("--model", "-m", help="NAME or FILE with an adapter, LABEL= is its title; without it the paper's. Repeats."),
]
Columns = Annotated[
    list[str] | None,
    Option("--model", "-m", help="NAME or NAME:POOLER, a column each, LABEL= is its title; without it the paper's."),
]


def check(
    output: Path,
    images: list[str] | None = None,
    classes: str | None = None,
    background: str = BACKGROUND,
    masks: Path | None = None,
) -> None:
    """Find mistakes in what a figure is made of before PyTorch is imported."""
    from maskadapter.io import find_image_files, read_image
    from maskadapter.paper.figures import check_no_input, check_output

    check_output(output)
    check_folder(output.parent)
    if classes is not None:
        competing_classes(Vocabulary.of(classes), background)
    if images:
        found = [image.source for image in find_image_files(images)]
        check_no_input(output, [masks, *found])
        read_image(found[0])
    if masks is not None and not user_path(masks, MaskAdapterError).is_file():
        raise MaskAdapterError(f"no such file: {masks}; masks are a file here")


def check_masks_or_classes(masks: Path | None, classes: str | None) -> None:
    """Refuse to look for masks of no classes."""
    if masks is None and classes is None:
        raise MaskAdapterError("neither masks nor classes: give --masks, or --classes to segment the images into")


def checked_source(model: str, adapter: Path | None, architecture: str | None) -> "ModelSource":
    """Return the model that the options choose; mistakes in names and paths are found."""
    from maskadapter.hub import ModelSource

    source = ModelSource(model, adapter=adapter, architecture=architecture)
    check_sources({model: source})
    return source


def check_sources(models: "Mapping[str, ModelSource]", advice: str = "") -> None:
    """Find mistakes in the names and paths of models. advice: the end of the line."""
    from maskadapter.hub import check_source

    for source in models.values():
        try:
            check_source(source)
        except MaskAdapterError as error:
            raise MaskAdapterError(f"{error}{advice}") from None
