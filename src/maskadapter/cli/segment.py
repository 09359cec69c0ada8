"""``maskadapter segment``."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import maskadapter
from maskadapter.cli.console import reasons, shares, show
from maskadapter.cli.options import (
    Adapter,
    Architecture,
    Background,
    Classes,
    Device,
    Masks,
    Model,
    Pooler,
    Prune,
    Things,
)
from maskadapter.errors import MaskAdapterError
from maskadapter.system.progress import busy
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from maskadapter.pipelines.image_run import Report
    from maskadapter.results.segmentation import Segmentation

ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, patterns in quotes such as 'photos/**/*.jpg', or - for standard input.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a run that was stopped: images that are done stay as they are.")
]


def segment(
    images: ImagesArgument,
    classes: Classes,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("out"),
    save: Annotated[
        str,
        typer.Option(help="What to write, separated by commas: overlay, labels, panoptic, coco, summary, activations."),
    ] = "overlay,labels",
    background: Background = BACKGROUND,
    things: Things = None,
    masks: Masks = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the five best words of every segment of a single image.")
    ] = False,
    resume: Resume = False,
    model: Model = None,
    pooler: Pooler = None,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
    prune_proposals: Prune = True,
) -> None:
    """Segment one image or many into the classes you name.

    Writes the results into a folder. Of a single image it prints what share each class takes.

    Example: [bold]maskadapter segment photo.jpg --classes "cat, sofa|couch, wall"[/]
    """
    from maskadapter.io.image_files import find_image_files
    from maskadapter.io.images import read_image
    from maskadapter.pipelines.segmenting import segment_images
    from maskadapter.results.segmentation import check_formats

    formats = check_formats(save)
    vocabulary = Vocabulary.of(classes, things)
    others = None if background == "none" else Vocabulary.of(background)
    found = find_image_files(images, output)
    if explain and len(found) > 1:
        raise MaskAdapterError(f"--explain is for one image, and {len(found):,} were given: --save summary has it")
    if len(found) == 1:
        read_image(found[0].source)  # an image that cannot be read is told before the model is loaded
    with busy("loading the model"):
        segmenter = maskadapter.load(
            model,
            pooler=pooler,
            adapter=adapter,
            architecture=architecture,
            device=device,
            prune_proposals=prune_proposals,
            masks=masks,
        )

    def told(result: "Segmentation", paths: list[Path]) -> None:
        labels = result.semantic()
        show(shares(labels, result.class_names))
        if explain:
            show(reasons(result.explain(), labels.size))
        for path in paths:
            print(path)

    settings = names_of(model, pooler, adapter, architecture, prune_proposals) | ({"masks": masks} if masks else {})
    run = partial(segment_images, segmenter, found, vocabulary, output, formats, background=others, resume=resume)
    tell(partial(run, settings=settings, on_result=told if len(found) == 1 else None), output)


def names_of(
    model: str | None, pooler: str | None, adapter: Path | None, architecture: str | None, prune_proposals: bool
) -> dict[str, Any]:
    """What a run's record says of the model: no folders, which may be others when the run is resumed."""
    file = model and Path(model).is_file() and f"{Path(model).name}, {Path(model).stat().st_size:,} bytes"
    return {
        "model": file or (model and Path(model).name),
        "pooler": pooler,
        "adapter": adapter and adapter.name,
        "architecture": architecture,
        "prune_proposals": prune_proposals,
    }


def tell(work: Callable[[], "Report"], output: Path) -> None:
    """Do the work and print what became of many images; raises MaskAdapterError when some of them failed."""
    try:
        report = work()
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)  # Typer makes it the exit code and forgets what it says
        raise
    total = report.done + len(report.failed)
    if total == len(report.failed) == 1 and report.fault is None:
        raise MaskAdapterError(report.failed[0][1])
    if total == 1 and not report.before and not report.note and not report.failed:
        return
    before = f", {report.before:,} of them before" if report.before else ""
    print(f"{report.done:,} of {total:,} images are done{before}: {output}")
    if report.note:
        print(report.note)
    for _, line in report.failed:
        print("error:", " ".join(line.split()), file=sys.stderr)
    if report.fault is not None:
        raise RuntimeError(f"{len(report.failed):,} of {total:,} images failed") from report.fault
    if report.failed:
        raise MaskAdapterError(f"{len(report.failed):,} of {total:,} images failed, the others are done")
