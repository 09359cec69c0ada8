"""The figures that show segmentations side by side."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from maskadapter.cli.options import MASK_SOURCES, Adapter, Architecture, Background, Dataset, Device, Root, Split, Task
from maskadapter.cli.plot_options import (
    FCCLIP,
    Classes,
    Columns,
    Images,
    Limit,
    Model,
    Number,
    Output,
    check,
    check_sources,
    checked_source,
)
from maskadapter.system.progress import busy
from maskadapter.vocabulary import BACKGROUND


def figure9(
    output: Output,
    dataset: Dataset = "ade20k-150",
    root: Root = None,
    split: Split = "val",
    task: Task = None,
    limit: Limit = 4,
    number: Number = None,
    model: Columns = None,
    device: Device = "cpu",
) -> None:
    """Draw the results of FC-CLIP and MAFT+ without and with Mask-Adapter, image by image.

    Without --model: fcclip-large and maftplus-large, each with pooling and with adapter.

    Example: [bold]maskadapter plot figure9 --root datasets --output figure9.pdf[/]
    """
    from maskadapter.paper.figures import FIGURE9

    _of_dataset("figure9", output, (dataset, root, split, task), limit, number, model or FIGURE9, device)


def figure10(
    output: Output,
    dataset: Dataset = "pascal-context-459",
    root: Root = None,
    split: Split = "val",
    task: Task = None,
    limit: Limit = 4,
    number: Number = None,
    model: Columns = None,
    device: Device = "cpu",
) -> None:
    """Draw the results of FC-CLIP without and with Mask-Adapter, image by image.

    Without --model: fcclip-large with pooling and with adapter.

    Example: [bold]maskadapter plot figure10 --root datasets --output figure10.pdf[/]
    """
    from maskadapter.paper.figures import FIGURE10

    _of_dataset("figure10", output, (dataset, root, split, task), limit, number, model or FIGURE10, device)


def _of_dataset(
    name: str,
    output: Path,
    data: tuple[str, Path | None, str, Any],
    limit: int,
    numbers: list[int] | None,
    models: Sequence[str],
    device: str,
) -> None:
    from maskadapter.data import open_dataset
    from maskadapter.paper.figures import models_by_title

    check(output)
    samples = open_dataset(*data)
    check_sources(models_by_title(models))
    from maskadapter.paper import figures

    with busy("drawing"):
        getattr(figures, name)(samples, output, limit=limit, numbers=numbers, models=models, device=device)
    print(output)


def figure11(
    images: Images,
    output: Output,
    classes: Annotated[
        list[str],
        Option("--classes", "-c", help="Class names, a file or a built-in list: a column each. May be repeated."),
    ],
    masks: Annotated[str, Option(help=f"Masks to classify: {MASK_SOURCES}")] = "sam:facebook/sam-vit-huge",
    background: Background = BACKGROUND,
    model: Model = FCCLIP,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
) -> None:
    """Draw the masks of SAM, classified by Mask-Adapter into several vocabularies, side by side.

    Example: [bold]maskadapter plot figure11 photo.jpg -c coco-stuff -c "cat, wall" --output figure11.pdf[/]
    """
    from maskadapter.models.sources import check_masks

    for one in classes:
        check(output, images, one, background)
    check_masks(masks)
    source = checked_source(model, adapter, architecture)
    from maskadapter.paper.figures import figure11 as figure

    draw = partial(figure, images, output, classes=classes, masks=masks, background=background)
    with busy("drawing"):
        draw(model=source, device=device)
    print(output)


def gallery(
    output: Output,
    images: Annotated[list[str] | None, Argument(help="Files, folders or patterns; or --dataset.")] = None,
    classes: Classes = None,
    background: Background = BACKGROUND,
    model: Annotated[
        list[str] | None,
        Option(
            "--model", "-m", help="NAME or NAME:POOLER, a column each (LABEL= is its title); else the embedded model."
        ),
    ] = None,
    dataset: Annotated[str | None, Option(help="A data set instead of images, with its ground truth.")] = None,
    root: Root = None,
    split: Split = "val",
    task: Task = None,
    limit: Limit = 4,
    number: Number = None,
    device: Device = "cpu",
) -> None:
    """Draw images, their ground truth and the results of several models side by side.

    Example: [bold]maskadapter plot gallery photo.jpg --classes "cat, wall" -m tiny -m tiny:adapter -o gallery.pdf[/]
    """
    from maskadapter.data import open_dataset
    from maskadapter.hub import DEFAULT
    from maskadapter.paper.figures import models_by_title

    check(output, images, classes, background)
    samples, models = open_dataset(dataset, root, split, task) if dataset else None, model or (DEFAULT,)
    check_sources(models_by_title(models))
    from maskadapter.paper.figures import gallery as figure

    draw = partial(figure, images or [], output, classes=classes, background=background, limit=limit, numbers=number)
    with busy("drawing"):
        draw(dataset=samples, models=models, device=device)
    print(output)
