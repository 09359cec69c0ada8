"""``maskadapter segment``."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import maskadapter
from maskadapter.cli.console import reasons, shares, show
from maskadapter.cli.options import Adapter, Background, Classes, Device, Embedding, Fast, Like, Masks, Model, Things
from maskadapter.errors import MaskAdapterError
from maskadapter.progress import busy
from maskadapter.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from maskadapter.batch import Report
    from maskadapter.segmentation import Segmentation

Pictures = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, patterns in quotes such as 'photos/**/*.jpg', or - for standard input.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a run that was stopped: pictures that are done stay as they are.")
]


def segment(
    pictures: Pictures,
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
        bool, typer.Option("--explain", help="Print the five best words of every segment of a single picture.")
    ] = False,
    resume: Resume = False,
    model: Model = None,
    embedding: Embedding = None,
    adapter: Adapter = None,
    like: Like = None,
    device: Device = "cpu",
    fast: Fast = True,
) -> None:
    """Segment one picture or many into the classes you name.

    Writes the results into a folder. Of a single picture it prints what share each class takes.

    Example: [bold]maskadapter segment photo.jpg --classes "cat, sofa|couch, wall"[/]
    """
    from maskadapter.batch import segment_pictures
    from maskadapter.images import read_image
    from maskadapter.pictures import find_pictures
    from maskadapter.segmentation import check_formats

    formats = check_formats(save)
    vocabulary = Vocabulary.of(classes, things)
    others = None if background == "none" else Vocabulary.of(background)
    found = find_pictures(pictures, output)
    if explain and len(found) > 1:
        raise MaskAdapterError(f"--explain is for one picture, and {len(found):,} were given: --save summary has it")
    if len(found) == 1:
        read_image(found[0].source)  # a picture that cannot be read is told before the model is loaded
    with busy("loading the model"):
        segmenter = maskadapter.load(
            model, embedding=embedding, adapter=adapter, like=like, device=device, fast=fast, masks=masks
        )

    def told(result: "Segmentation", paths: list[Path]) -> None:
        labels = result.semantic()
        show(shares(labels, result.class_names))
        if explain:
            show(reasons(result.explain(), labels.size))
        for path in paths:
            print(path)

    settings = names_of(model, embedding, adapter, like, fast) | ({"masks": masks} if masks else {})
    run = partial(segment_pictures, segmenter, found, vocabulary, output, formats, background=others, resume=resume)
    tell(partial(run, settings=settings, on_result=told if len(found) == 1 else None), output)


def names_of(
    model: str | None, embedding: str | None, adapter: Path | None, like: str | None, fast: bool
) -> dict[str, Any]:
    """What a run's record says of the model: no folders, which may be others when the run is resumed."""
    file = model and Path(model).is_file() and f"{Path(model).name}, {Path(model).stat().st_size:,} bytes"
    return {
        "model": file or (model and Path(model).name),
        "embedding": embedding,
        "adapter": adapter and adapter.name,
        "like": like,
        "fast": fast,
    }


def tell(work: Callable[[], "Report"], output: Path) -> None:
    """Do the work and print what became of many pictures; raises MaskAdapterError when some of them failed."""
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
    print(f"{report.done:,} of {total:,} pictures are done{before}: {output}")
    if report.note:
        print(report.note)
    for _, line in report.failed:
        print("error:", " ".join(line.split()), file=sys.stderr)
    if report.fault is not None:
        raise RuntimeError(f"{len(report.failed):,} of {total:,} pictures failed") from report.fault
    if report.failed:
        raise MaskAdapterError(f"{len(report.failed):,} of {total:,} pictures failed, the others are done")
