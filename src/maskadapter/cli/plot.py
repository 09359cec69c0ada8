"""``maskadapter plot``: the paper's kinds of figures."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskadapter.cli.options import Adapter, Architecture, Background, Device, Model
from maskadapter.vocabulary.vocabulary import BACKGROUND

app = typer.Typer()

Output = Annotated[Path, typer.Option("--output", "-o", help="File to write: .png, .pdf or .svg.", show_default=False)]
Words = Annotated[
    str | None, typer.Option("--classes", "-c", help="Words, a file or a built-in list.", show_default=False)
]
Root = Annotated[Path | None, typer.Option(help="The data set's folder, or the one that holds it.", show_default=False)]
Subset = Annotated[Literal["val", "train"], typer.Option(help="Which images of the data set.")]
Task = Annotated[
    Literal["semantic", "panoptic", "instance"] | None,
    typer.Option(help="Which of its labels; without it the set's own.", show_default=False),
]


@app.callback(invoke_without_command=True)
def plot(context: typer.Context) -> None:
    """Draw the paper's kinds of figures for your own images, models and runs."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def activations(
    images: Annotated[list[str], typer.Argument(help="Files, folders or patterns.", show_default=False)],
    output: Output,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Label or panoptic PNG, COCO JSON, or .npy file of bool (N, H, W); without it what is found.",
            show_default=False,
        ),
    ] = None,
    classes: Words = None,
    background: Background = BACKGROUND,
    top: Annotated[int, typer.Option(help="Of each image the largest so many masks.")] = 3,
    single: Annotated[int, typer.Option(help="So many single maps of each mask, 0 to 4.")] = 3,
    model: Model = None,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
) -> None:
    """Where mask pooling and Mask-Adapter pool, mask by mask.

    Example: [bold]maskadapter plot activations photo.jpg --classes "cat, wall" --output maps.pdf[/]
    """
    from maskadapter.paper.figures.activations import activations as draw

    draw(
        images,
        output,
        masks=masks,
        classes=classes,
        background=background,
        top=top,
        single=single,
        model=model,
        adapter=adapter,
        architecture=architecture,
        device=device,
    )
    print(output)


@app.command()
def tsne(
    dataset: Annotated[str, typer.Argument(help="A data set's name, or a YAML file of your own.", show_default=False)],
    output: Output,
    root: Root = None,
    subset: Subset = "val",
    task: Task = None,
    limit: Annotated[int, typer.Option(help="Only the first so many images.")] = 200,
    top: Annotated[int, typer.Option(help="The classes with the most masks.")] = 12,
    split: Annotated[
        str,
        typer.Option(help="Which classes were seen, as evaluate takes it: unseen ones get triangles; none for none."),
    ] = "synonyms",
    seed: Annotated[int, typer.Option(help="Of the arrangement.")] = 0,
    model: Model = None,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
) -> None:
    """The embeddings of ground-truth masks on a plane, by mask pooling and by Mask-Adapter.

    Example: [bold]maskadapter plot tsne coco-panoptic --root datasets --output tsne.pdf[/]
    """
    from maskadapter.data.opening import open_dataset
    from maskadapter.paper.figures.tsne import tsne as draw

    draw(
        open_dataset(dataset, root, subset, task),
        output,
        limit=limit,
        top=top,
        split=None if split == "none" else split,
        seed=seed,
        model=model,
        adapter=adapter,
        architecture=architecture,
        device=device,
    )
    print(output)


@app.command("upper-bound")
def upper_bound(
    reports: Annotated[
        list[str],
        typer.Argument(
            help="Reports of evaluate --proposals ground-truth, report.json or its folder, or LABEL=PATH.",
            show_default=False,
        ),
    ],
    output: Output,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="accuracy of segments, accuracy of class masks or mIoU, with seen or unseen behind it. May be "
            "repeated; without it the first and the last.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """How well ground-truth masks are named in several ways, with standard errors.

    Example: [bold]maskadapter plot upper-bound pooling=report-1 adapter=report-2 --output bound.pdf[/]
    """
    from maskadapter.paper.figures.upper_bound import METRICS
    from maskadapter.paper.figures.upper_bound import upper_bound as draw

    draw(reports, output, metrics=metric or METRICS)
    print(output)


@app.command("unseen-curve")
def unseen_curve(
    runs: Annotated[list[str], typer.Argument(help="Folders that train wrote, or LABEL=FOLDER.", show_default=False)],
    output: Output,
    dataset: Annotated[
        str | None, typer.Option(help="Which of those that the runs were evaluated on.", show_default=False)
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="mIoU, accuracy of segments, PQ or AP; without it the first there is.", show_default=False),
    ] = None,
) -> None:
    """Seen and unseen classes while a model is trained.

    Example: [bold]maskadapter plot unseen-curve runs/warmup runs/mixed --output curve.pdf[/]
    """
    from maskadapter.paper.figures.unseen_curve import unseen_curve as draw

    draw(runs, output, dataset=dataset, metric=metric)
    print(output)


@app.command()
def gallery(
    output: Output,
    images: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or patterns; or --dataset.", show_default=False)
    ] = None,
    classes: Words = None,
    background: Background = BACKGROUND,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="NAME or NAME:EMBEDDING (tiny:adapter), a column each; LABEL= before it is the column's title. May be "
            "repeated; without it the embedded model.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A data set instead of images, with its truth.", show_default=False)
    ] = None,
    root: Root = None,
    subset: Subset = "val",
    task: Task = None,
    limit: Annotated[int, typer.Option(help="Of the data set the first so many images.")] = 4,
    number: Annotated[
        list[int] | None,
        typer.Option(help="Instead: this image of the data set, from 0. May be repeated.", show_default=False),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Images, their truth, and what models make of them.

    Example: [bold]maskadapter plot gallery photo.jpg --classes "cat, wall" -m tiny -m tiny:adapter -o gallery.pdf[/]
    """
    from maskadapter.data.opening import open_dataset
    from maskadapter.hub.model_source import DEFAULT
    from maskadapter.paper.figures.gallery import gallery as draw

    draw(
        images or [],
        output,
        classes=classes,
        background=background,
        dataset=open_dataset(dataset, root, subset, task) if dataset else None,
        limit=limit,
        numbers=number,
        models=model or (DEFAULT,),
        device=device,
    )
    print(output)
