"""``maskadapter segment``."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

import maskadapter
from maskadapter.cli.console import class_probabilities, shares, show
from maskadapter.cli.options import Background, Classes, Device, Masks, ModelSource, Prune, Things, with_model_source
from maskadapter.errors import MaskAdapterError
from maskadapter.system.progress import busy
from maskadapter.vocabulary import BACKGROUND, Vocabulary, background_line, competing_classes

if TYPE_CHECKING:
    from maskadapter.io import ImageFile
    from maskadapter.pipelines import MaskedImage, Report
    from maskadapter.results import Segmentation

ImagesArgument = Annotated[
    list[str], Argument(help="Files, folders, patterns in quotes such as 'photos/**/*.jpg', or - for standard input.")
]
Resume = Annotated[bool, Option("--resume", help="Continue a stopped run: images that are done stay as they are.")]


@with_model_source()
def segment(
    images: ImagesArgument,
    classes: Classes,
    output: Annotated[Path, Option("--output", "-o", help="Folder for the results.")] = Path("out"),
    save: Annotated[str, Option(help="Of overlay, labels, panoptic, coco, summary, activations.")] = "overlay,labels",
    background: Background = BACKGROUND,
    things: Things = None,
    masks: Masks = None,
    score: Annotated[float, Option(min=0, max=1, help="Leave out segments with a lower score.")] = 0.0,
    explain: Annotated[bool, Option("--explain", help="For one image: print each segment's best classes.")] = False,
    resume: Resume = False,
    device: Device = "cpu",
    prune_proposals: Prune = False,
    *,
    source: ModelSource,
) -> None:
    """Segment images into the classes you list, into a folder; of a single image, print the classes' shares of pixels.

    Example: [bold]maskadapter segment photo.jpg --classes "cat, sofa|couch, wall"[/]
    """
    from maskadapter.io import find_image_files
    from maskadapter.models.sources import given_by_user
    from maskadapter.results import check_formats
    from maskadapter.system.paths import check_folder

    output, formats = check_folder(output), check_formats(save)
    vocabulary = Vocabulary.of(classes, things)
    others = competing_classes(vocabulary, background, given_by_user(masks))
    note = background_line(vocabulary, background, given_by_user(masks))
    found = find_image_files(images, output)
    if explain and len(found) > 1:
        raise MaskAdapterError(f"--explain is for one image, and {len(found):,} were given: --save summary has it")
    check_given(found, masks)
    from maskadapter.pipelines import segment_images

    segmenter, given, settings = loaded(source, masks, device, prune_proposals)

    def report_one(result: "Segmentation", paths: list[Path]) -> None:
        labels = result.semantic()
        show(shares(labels, result.class_names))
        if explain:
            show(class_probabilities(result.explain(), labels.size))
        pruned = [] if result.pruning_text is None else [f"pruning: {result.pruning_text}"]
        print(note, *pruned, *paths, sep="\n")

    run = partial(segment_images, segmenter, found, vocabulary, output, formats, background=others, masks=given)
    on_result = report_one if len(found) == 1 else None
    run_and_report(partial(run, score=score, resume=resume, settings=settings, on_result=on_result), output, note)


def check_given(images: "list[ImageFile]", masks: str | None) -> "list[MaskedImage]":
    """Find mistakes in masks, and in an image that is the only one, before PyTorch is imported. Return the images with
    their masks, unless these come from a source."""
    from maskadapter.io import mask_parts, read_image
    from maskadapter.models.sources import check_masks, is_source
    from maskadapter.pipelines import find_images

    if masks is not None:
        check_masks(masks)
    todo = find_images(images, masks=None if masks is None or is_source(masks) else masks)
    if len(todo) == 1:
        size, given = read_image(todo[0].source).shape[:2], todo[0].masks
        if given is not None and given.is_file():  # a pipe can be read once
            next(mask_parts(given, size, Path(str(todo[0])).name))
    return todo


def loaded(source: ModelSource, masks: str | None, device: str, prune_proposals: bool) -> tuple[Any, Any, dict]:
    """The segmenter, the masks to classify, and both settings for a record, without folders, which may have moved."""
    from maskadapter.models.sources import masks_from

    with busy("loading the model"):
        segmenter = maskadapter.load(source, device=device, prune_proposals=prune_proposals)
        given = None if masks is None else masks_from(masks, device)
    path = Path(source.name)
    settings = {
        "model": f"{path.name}, {path.stat().st_size:,} bytes" if path.is_file() else path.name,
        "pooler": source.pooler,
        "adapter": source.adapter and Path(source.adapter).name,
        "architecture": source.architecture,
        "precision": segmenter.precision,
        "prune_proposals": prune_proposals,
    }
    return segmenter, given, settings | ({"masks": masks} if masks else {})


def run_and_report(work: Callable[[], "Report"], output: Path, note: str = "") -> None:
    """Process many images and print a report. Raises MaskAdapterError when some of them failed. note: printed with it
    where images are done."""
    report = work()
    total = report.done + len(report.failed)
    if total == len(report.failed) == 1 and report.fault is None:
        raise MaskAdapterError(report.failed[0][1])
    if report.kept:
        some = ", ".join(report.kept[:5]) + (", ..." if len(report.kept) > 5 else "")
        print(f"{len(report.kept):,} edited by hand, kept as they are: {some}")
    if total == 1 and not (report.before or report.note or report.failed):
        return
    before = f", {report.before:,} of them before" if report.before else ""
    print(f"{report.done:,} of {total:,} images are done{before}: {output}")
    for line in filter(None, (note if report.done else "", report.note)):
        print(line)
    for _, line in report.failed:
        print("error:", " ".join(line.split()), file=sys.stderr)
    if report.fault is not None:
        raise RuntimeError(f"{len(report.failed):,} of {total:,} images failed") from report.fault
    if report.failed:
        raise MaskAdapterError(f"{len(report.failed):,} of {total:,} images failed, the others are done")
