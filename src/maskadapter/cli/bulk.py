"""``maskadapter bulk``: very many images, in shards."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from maskadapter.cli.console import show_help
from maskadapter.cli.help import helpful
from maskadapter.cli.options import Background, Classes, Device, ModelSource, Prune, Things, with_model_source
from maskadapter.errors import MaskAdapterError
from maskadapter.system.progress import busy
from maskadapter.vocabulary import BACKGROUND, Vocabulary, background_line

if TYPE_CHECKING:
    from maskadapter.pipelines.bulk import Estimate

_HELP = "Segment millions of images in shards: plan, run on any number of machines, export."
app = typer.Typer(callback=show_help, invoke_without_command=True, help=_HELP)

Folder = Annotated[Path, Argument(help="The folder of the plan.")]


@app.command()
@helpful
@with_model_source()
def plan(
    sources: Annotated[
        list[str],
        Argument(
            help="Folders, patterns in quotes, text files with a path a line, .tar archives, .parquet or .arrow "
            "tables; here, or an address such as s3://bucket/photos."
        ),
    ],
    classes: Classes,
    output: Annotated[Path, Option("--output", "-o", help="Folder for the plan and the parts, seen by all machines.")],
    shard_size: Annotated[int, Option(min=1, help="Images of a shard: what is lost when a machine stops.")] = 1000,
    background: Background = BACKGROUND,
    things: Things = None,
    column: Annotated[str | None, Option(help="Of a table with several that may be of images.")] = None,
    prune_proposals: Prune = False,
    *,
    source: ModelSource,
) -> None:
    """List the images, cut the list into shards, and write down the settings. No image is opened.

    Example: [bold]maskadapter bulk plan photos/ --classes "cat, dog" --output bulk[/]
    """
    from maskadapter.pipelines.bulk import plan_shards

    vocabulary = Vocabulary.of(classes, things)
    with busy("listing images"):
        made = plan_shards(
            *(sources, vocabulary, output, shard_size),
            background=background,
            model=source,
            prune_proposals=prune_proposals,
            column=column,
        )
    print(f"{made.image_count:,} images in {made.shards:,} shards: {output}, settings {made.settings_hash[:12]}")
    print(background_line(vocabulary, background))


@app.command()
@helpful
def run(
    folder: Folder,
    workers: Annotated[int, Option(min=1, help="Processes, each with a model and one thread.")] = 1,
    shard: Annotated[
        str | None, Option(help="i/n: only every n-th shard from the i-th, from 0, for arrays of jobs.")
    ] = None,
    engine: Annotated[Literal["processes", "ray"], Option(help="What runs the workers.")] = "processes",
    device: Device = "cpu",
    price: Annotated[float, Option(min=0, help="Of an hour of all workers, for the estimate of the cost.")] = 0.0,
) -> None:
    """Compute the shards that are not done; again after any interruption.

    Example: [bold]maskadapter bulk run bulk --workers 4[/]
    """
    from maskadapter.pipelines.bulk import read_plan, run_shards, share

    def show(estimate: "Estimate") -> None:
        cost = f", cost {estimate.cost:,.2f}" if price else ""
        print(f"{estimate.images_per_second:.2f} images/s, {estimate.hours:,.2f} hours left{cost}", flush=True)

    chosen = share(read_plan(folder), shard)
    report = run_shards(folder, workers, chosen, device, engine, price, show)
    before = f", {report.before:,} of them before or elsewhere" if report.before else ""
    print(f"{report.done + report.before:,} of {report.shards:,} shards are done{before}: {folder}")
    if report.done:
        failed = f", {report.failed:,} failed: 'maskadapter bulk status' lists them" if report.failed else ""
        print(f"{report.images:,} images at {report.images_per_second:.2f} images/s{failed}")
    if report.lost:
        some = "; ".join(f"shard {number}: {reason}" for number, reason in report.lost[:3])
        raise RuntimeError(f"{len(report.lost):,} shards are not done, their workers died twice ({some})")


@app.command()
@helpful
def status(folder: Folder) -> None:
    """Print how many shards are done, and the first images that failed.

    Example: [bold]maskadapter bulk status bulk[/]
    """
    from maskadapter.pipelines.bulk import shard_status

    found = shard_status(folder)
    print(f"{len(found.done):,} of {found.plan.shards:,} shards are done, settings {found.plan.settings_hash[:12]}")
    print(f"{found.images:,} of {found.plan.image_count:,} images, {found.failed:,} of them failed")
    for line in found.errors:
        print("failed:", line)


@app.command()
@helpful
def export(
    folder: Folder,
    output: Annotated[Path, Option("--output", "-o", help="Folder for the data set, new or empty.")],
    format: Annotated[
        Literal["coco", "yolo", "voc", "panoptic"], Option(help="yolo and voc need the extra label.")
    ] = "coco",
    score: Annotated[float, Option(min=0, max=1, help="Leave out segments with a lower score.")] = 0.0,
    min_area: Annotated[float, Option(min=0, max=1, help="Leave out smaller shares of the image.")] = 0.0,
) -> None:
    """Write the results as a data set.

    Example: [bold]maskadapter bulk export bulk --format coco --output coco[/]
    """
    from maskadapter.pipelines.bulk import export_shards

    report = export_shards(folder, output, format, score, min_area)
    without = f", {report.without:,} images without a result left out" if report.without else ""
    print(f"{report.images:,} images with {report.segments:,} segments{without}: {output}")
    for line in report.failed:
        print("error:", " ".join(line.split()), file=sys.stderr)
    if report.failed:
        raise MaskAdapterError(f"{len(report.failed):,} images could not be copied, the others are done")
