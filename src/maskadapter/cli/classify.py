"""``maskadapter classify``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from maskadapter.cli.console import best_classes, show
from maskadapter.cli.options import MASK_SOURCES, Classes, Device, ModelSource, with_model_source
from maskadapter.cli.segment import ImagesArgument, Resume, check_given, loaded, run_and_report
from maskadapter.system.progress import busy
from maskadapter.vocabulary import Vocabulary

if TYPE_CHECKING:
    from maskadapter.results import Classification


@with_model_source()
def classify(
    images: ImagesArgument,
    masks: Annotated[str, Option(help=f"Where the masks come from: {MASK_SOURCES}")],
    classes: Classes,
    output: Annotated[
        Path | None, Option("--output", "-o", help="Folder for the results; without it out, where there are any.")
    ] = None,
    save: Annotated[
        str | None,
        Option(help="Of overlay, labels, coco, csv, json; without it overlay,csv, and nothing of one image alone."),
    ] = None,
    top: Annotated[int, Option(min=1, help="How many classes to print for each mask of a single image.")] = 5,
    resume: Resume = False,
    device: Device = "cpu",
    *,
    source: ModelSource,
) -> None:
    """Classify masks that you already have, from any source: of a single image, print the most probable classes of each
    mask; of several images, or with --output or --save, write them into a folder.

    Example: [bold]maskadapter classify photo.jpg --masks masks.png --classes ade20k-150[/]
    """
    from maskadapter.io import find_image_files
    from maskadapter.models.sources import is_source
    from maskadapter.results import MASK_ENDINGS, check_formats
    from maskadapter.system.paths import check_folder

    formats = check_formats(save or "overlay,csv", tuple(MASK_ENDINGS))
    vocabulary, folder = Vocabulary.of(classes), output or Path("out")
    found = find_image_files(images, folder)
    printed = len(found) == 1 and not (output or save or resume)
    if not printed:
        check_folder(folder)
    todo = check_given(found, masks)
    from maskadapter.pipelines import classify_images

    segmenter, given, settings = loaded(source, masks, device, prune_proposals=False)

    def report_one(result: "Classification", paths: list[Path]) -> None:
        show(best_classes(result, top))
        for path in paths:
            print(path)

    if printed:
        with busy("classifying masks"):
            result = segmenter.classify(todo[0].source, given if is_source(masks) else todo[0].masks, vocabulary)
        report_one(result, [])
        return
    run = partial(classify_images, segmenter, todo, given, vocabulary, folder, formats, resume, settings)
    run_and_report(partial(run, on_result=report_one if len(todo) == 1 else None), folder)
