"""``maskadapter plot``: the paper's figures."""

from functools import partial
from typing import Annotated

import typer
from typer import Argument, Option

from maskadapter.cli.console import show_help
from maskadapter.cli.help import helpful
from maskadapter.cli.options import Adapter, Architecture, Background, Dataset, Device, Root, Split, Task
from maskadapter.cli.plot_options import (
    FCCLIP,
    Adapters,
    Classes,
    GivenMasks,
    Images,
    Limit,
    Model,
    Output,
    check,
    check_masks_or_classes,
    check_sources,
    checked_source,
)
from maskadapter.cli.plot_results import figure9, figure10, figure11, gallery
from maskadapter.system.progress import busy
from maskadapter.vocabulary import BACKGROUND

_HELP = "Draw the paper's figures, each called by its number, from your own images, models and runs."
app = typer.Typer(callback=show_help, invoke_without_command=True, help=_HELP)


@app.command()
@helpful
def figure1(
    reports: Annotated[
        list[str], Argument(help="Reports of evaluate --masks ground-truth, report.json or its folder, or LABEL=PATH.")
    ],
    output: Output,
    metric: Annotated[
        list[str] | None,
        Option(
            help="accuracy of segments, accuracy of class masks or mIoU, with seen or unseen behind it. May be "
            "repeated; without it accuracy of segments."
        ),
    ] = None,
) -> None:
    """Draw how well ground-truth masks are classified by mask cropping, mask pooling and Mask-Adapter.

    Example: [bold]maskadapter plot figure1 pooling=report-1 adapter=report-2 --output figure1.pdf[/]
    """
    from maskadapter.paper.figures import METRICS
    from maskadapter.paper.figures import figure1 as draw

    with busy("drawing"):
        draw(reports, output, metrics=metric or METRICS)
    print(output)


@app.command()
@helpful
def figure4(
    images: Images,
    output: Output,
    masks: GivenMasks = None,
    classes: Classes = None,
    background: Background = BACKGROUND,
    top: Annotated[int, Option(min=1, max=8, help="Masks of each image, the largest first.")] = 4,
    single: Annotated[int, Option(min=0, max=4, help="Rows of single maps.")] = 0,
    pooling: Annotated[bool, Option("--pooling", help="Add a row with the weights of mask pooling.")] = False,
    model: Model = FCCLIP,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
) -> None:
    """Draw where Mask-Adapter pools: for each image its maps above, the masks that they belong to below.

    Example: [bold]maskadapter plot figure4 photo.jpg --classes "cat, wall" --model tiny --output figure4.pdf[/]
    """
    check_masks_or_classes(masks, classes)
    check(output, images, classes, background, masks)
    source = checked_source(model, adapter, architecture)
    from maskadapter.paper.figures import figure4 as figure

    draw = partial(figure, images, output, masks=masks, classes=classes, background=background, top=top)
    with busy("drawing"):
        draw(single=single, pooling=pooling, model=source, device=device)
    print(output)


@app.command()
@helpful
def figure5(
    dataset: Dataset,
    output: Output,
    root: Root = None,
    split: Split = "val",
    task: Task = None,
    limit: Limit = 200,
    top: Annotated[int, Option(min=1, max=21, help="The classes with the most masks.")] = 12,
    partition: Annotated[
        str,
        Option(help="Classes seen in training, as evaluate takes it: unseen ones are triangles; none for none."),
    ] = "synonyms",
    seed: Annotated[int, Option(help="Seed of the arrangement.")] = 0,
    model: Adapters = None,
    device: Device = "cpu",
) -> None:
    """Draw the embeddings of ground-truth masks on a plane, by mask pooling and by adapters (t-SNE).

    Without --model: those that recipes/table4/no-consistency and table1/fcclip-large-mixed left in runs/.

    Example: [bold]maskadapter plot figure5 coco-panoptic --root datasets --model tiny --output figure5.pdf[/]
    """
    from maskadapter.data import open_dataset
    from maskadapter.paper.figures import FIGURE5, adapters_by_title

    check(output)
    samples, models = open_dataset(dataset, root, split, task), model or FIGURE5
    check_sources(
        adapters_by_title(models),
        "" if model else "; recipes/table4/no-consistency and table1/fcclip-large-mixed train the paper's",
    )
    from maskadapter.paper.figures import figure5 as figure

    seen = None if partition == "none" else partition
    draw = partial(figure, samples, output, limit=limit, top=top, partition=seen, seed=seed)
    with busy("drawing"):
        draw(models=models, device=device)
    print(output)


@app.command()
@helpful
def figure6(
    images: Images,
    output: Output,
    masks: GivenMasks = None,
    classes: Classes = None,
    background: Background = BACKGROUND,
    top: Annotated[int, Option(min=1, max=20, help="Masks of each image, the largest first.")] = 1,
    single: Annotated[int, Option(min=0, max=4, help="Single maps of a model with several.")] = 3,
    model: Adapters = None,
    device: Device = "cpu",
) -> None:
    """Draw one map against several maps for the same mask.

    Without --model: those that recipes/table10/1-map and table1/fcclip-large-warmup left in runs/.

    Example: [bold]maskadapter plot figure6 photo.jpg --masks masks.png --model tiny --output figure6.pdf[/]
    """
    from maskadapter.paper.figures import FIGURE6, adapters_by_title

    check_masks_or_classes(masks, classes)
    check(output, images, classes, background, masks)
    models = model or FIGURE6
    check_sources(
        adapters_by_title(models),
        "" if model else "; recipes/table10/1-map and table1/fcclip-large-warmup train the paper's",
    )
    from maskadapter.paper.figures import figure6 as figure

    draw = partial(figure, images, output, masks=masks, classes=classes, background=background)
    with busy("drawing"):
        draw(top=top, single=single, models=models, device=device)
    print(output)


@app.command()
@helpful
def figure7(
    output: Output,
    runs: Annotated[list[str] | None, Argument(help="Folders that train wrote, or LABEL=FOLDER.")] = None,
    dataset: Annotated[str | None, Option(help="One of the data sets that the runs were evaluated on.")] = None,
    metric: Annotated[
        str | None, Option(help="mIoU, accuracy of segments, PQ or AP; without it the first that all runs have.")
    ] = None,
    seen: Annotated[bool, Option("--seen", help="Draw seen classes as well, dashed.")] = False,
) -> None:
    """Draw a metric of unseen classes over the iterations of the warm-up, a line for each run.

    Without folders: those of recipes/table1/fcclip-large-warmup and table7/on-coco-panoptic-and-lvis in runs/.

    Example: [bold]maskadapter plot figure7 runs/warmup "other=runs/warmup-2" --output figure7.pdf[/]
    """
    from maskadapter.paper.figures import figure7 as draw

    draw(runs or None, output, dataset=dataset, metric=metric, seen=seen)
    print(output)


for command in (figure9, figure10, figure11, gallery):
    app.command()(helpful(command))
