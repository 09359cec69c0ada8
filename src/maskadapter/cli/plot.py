"""``maskadapter plot``: the paper's kinds of figures."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from maskadapter.cli.console import show_help
from maskadapter.cli.options import Background, Dataset, Device, ModelSource, Root, Split, Task, with_model_source
from maskadapter.errors import MaskAdapterError
from maskadapter.system.paths import check_folder, user_path
from maskadapter.system.progress import busy
from maskadapter.vocabulary import BACKGROUND, Vocabulary, competing_classes

_HELP = "Draw the paper's kinds of figures for your own images, models and runs."
app = typer.Typer(callback=show_help, invoke_without_command=True, help=_HELP)

Output = Annotated[Path, Option("--output", "-o", help="File to write: .png, .pdf or .svg.")]
Classes = Annotated[str | None, Option("--classes", "-c", help="Class names, a file or a built-in list.")]


@app.command()
@with_model_source("model", "adapter", "architecture")
def activations(
    images: Annotated[list[str], Argument(help="Files, folders or patterns.")],
    output: Output,
    masks: Annotated[
        Path | None,
        Option(help="Label map or panoptic PNG, COCO JSON, .npy of bool (N, H, W); without it the segments found."),
    ] = None,
    classes: Classes = None,
    background: Background = BACKGROUND,
    top: Annotated[int, Option(help="Masks of each image, the largest first.")] = 3,
    single: Annotated[int, Option(help="Single maps of each mask, 0 to 4.")] = 3,
    *,
    source: ModelSource,
    device: Device = "cpu",
) -> None:
    """Draw where mask pooling and Mask-Adapter pool, mask by mask.

    Example: [bold]maskadapter plot activations photo.jpg --classes "cat, wall" --output maps.pdf[/]
    """
    _check(output, images, classes, background)
    if masks is not None and not user_path(masks, MaskAdapterError).is_file():
        raise MaskAdapterError(f"no such file: {masks}; masks are a file here")
    from maskadapter.paper.figures import activations as figure

    draw = partial(figure, images, output, masks=masks, classes=classes, background=background)
    with busy("drawing"):
        draw(top=top, single=single, model=source, device=device)
    print(output)


@app.command()
@with_model_source("model", "adapter", "architecture")
def tsne(
    dataset: Dataset,
    output: Output,
    root: Root = None,
    split: Split = "val",
    task: Task = None,
    limit: Annotated[int, Option(help="Only the first so many images.")] = 200,
    top: Annotated[int, Option(help="The classes with the most masks.")] = 12,
    partition: Annotated[
        str,
        Option(help="Classes seen in training, as evaluate takes it: unseen ones are triangles; none for none."),
    ] = "synonyms",
    seed: Annotated[int, Option(help="Seed of the arrangement.")] = 0,
    *,
    source: ModelSource,
    device: Device = "cpu",
) -> None:
    """Draw the embeddings of ground-truth masks on a plane, by mask pooling and by Mask-Adapter.

    Example: [bold]maskadapter plot tsne coco-panoptic --root datasets --output tsne.pdf[/]
    """
    from maskadapter.data import open_dataset

    _check(output)
    samples = open_dataset(dataset, root, split, task)
    from maskadapter.paper.figures import tsne as figure

    seen = None if partition == "none" else partition
    draw = partial(figure, output=output, limit=limit, top=top, partition=seen, seed=seed, model=source, device=device)
    with busy("drawing"):
        draw(samples)
    print(output)


@app.command("upper-bound")
def upper_bound(
    reports: Annotated[
        list[str], Argument(help="Reports of evaluate --masks ground-truth, report.json or its folder, or LABEL=PATH.")
    ],
    output: Output,
    metric: Annotated[
        list[str] | None,
        Option(
            help="accuracy of segments, accuracy of class masks or mIoU, with seen or unseen behind it. May be "
            "repeated; without it the first and the last."
        ),
    ] = None,
) -> None:
    """Draw how well ground-truth masks are classified in several ways, with standard errors.

    Example: [bold]maskadapter plot upper-bound pooling=report-1 adapter=report-2 --output bound.pdf[/]
    """
    from maskadapter.paper.figures import METRICS
    from maskadapter.paper.figures import upper_bound as draw

    with busy("drawing"):
        draw(reports, output, metrics=metric or METRICS)
    print(output)


@app.command("unseen-curve")
def unseen_curve(
    runs: Annotated[list[str], Argument(help="Folders that train wrote, or LABEL=FOLDER.")],
    output: Output,
    dataset: Annotated[str | None, Option(help="One of the data sets that the runs were evaluated on.")] = None,
    metric: Annotated[
        str | None, Option(help="mIoU, accuracy of segments, PQ or AP; without it the first that all runs have.")
    ] = None,
) -> None:
    """Draw a metric of seen and of unseen classes over the steps of training.

    Example: [bold]maskadapter plot unseen-curve runs/warmup runs/mixed --output curve.pdf[/]
    """
    from maskadapter.paper.figures import unseen_curve as draw

    draw(runs, output, dataset=dataset, metric=metric)
    print(output)


@app.command()
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
    limit: Annotated[int, Option(help="Only the first so many images of the data set.")] = 4,
    number: Annotated[list[int] | None, Option(help="Only this image of it, from 0. May be repeated.")] = None,
    device: Device = "cpu",
) -> None:
    """Draw images, their ground truth and the results of several models side by side.

    Example: [bold]maskadapter plot gallery photo.jpg --classes "cat, wall" -m tiny -m tiny:adapter -o gallery.pdf[/]
    """
    from maskadapter.data import open_dataset
    from maskadapter.hub import DEFAULT

    _check(output, images, classes, background)
    samples = open_dataset(dataset, root, split, task) if dataset else None
    from maskadapter.paper.figures import gallery as figure

    draw = partial(figure, images or [], output, classes=classes, background=background, limit=limit, numbers=number)
    with busy("drawing"):
        draw(dataset=samples, models=model or (DEFAULT,), device=device)
    print(output)


def _check(
    output: Path, images: list[str] | None = None, classes: str | None = None, background: str = BACKGROUND
) -> None:
    """Find mistakes in what a figure is made of before PyTorch is imported."""
    from maskadapter.io import find_image_files, read_image
    from maskadapter.paper.figures import check_output

    check_output(output)
    check_folder(output.parent)
    if classes is not None:
        competing_classes(Vocabulary.of(classes), background)
    if images:
        read_image(find_image_files(images)[0].source)
