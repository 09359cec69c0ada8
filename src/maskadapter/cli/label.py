"""``maskadapter label``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from maskadapter.cli.options import Background, Classes, Device, Masks, ModelSource, Prune, Things, with_model_source
from maskadapter.cli.segment import ImagesArgument, Resume, check_given, loaded, run_and_report
from maskadapter.vocabulary import BACKGROUND, Vocabulary, background_line, competing_classes


@with_model_source()
def label(
    images: ImagesArgument,
    classes: Classes,
    output: Annotated[Path, Option("--output", "-o", help="Folder for the set, new or empty.")] = Path("dataset"),
    format: Annotated[
        Literal["coco", "yolo", "voc", "labelme"], Option(help="yolo and voc need the extra label.")
    ] = "coco",
    score: Annotated[
        float | None,
        Option(min=0, max=1, help="Leave out segments with a lower score; without it 0.5, and 0 of given masks."),
    ] = None,
    min_area: Annotated[
        float | None,
        Option(min=0, max=1, help="Leave out smaller shares of the image; without it 0.001, and 0 of given masks."),
    ] = None,
    val: Annotated[
        float, Option(min=0, max=1, help="With yolo: share of the images to hold out for validation.")
    ] = 0.0,
    background: Background = BACKGROUND,
    things: Things = None,
    masks: Masks = None,
    resume: Resume = False,
    device: Device = "cpu",
    prune_proposals: Prune = False,
    *,
    source: ModelSource,
) -> None:
    """Make a training set: images with the segments found in them as labels.

    Example: [bold]maskadapter label photos/ --classes "cat, dog" --format yolo[/]
    """
    from maskadapter.io import find_image_files
    from maskadapter.models.sources import given_by_user
    from maskadapter.pipelines import check_val, refuse_other_files
    from maskadapter.system.paths import check_folder

    vocabulary = Vocabulary.of(classes, things)
    others = competing_classes(vocabulary, background, given_by_user(masks))
    note = background_line(vocabulary, background, given_by_user(masks))
    check_val(val, format)
    output = check_folder(output)
    found = find_image_files(images, output)
    refuse_other_files(output, resume)
    check_given(found, masks)
    from maskadapter.pipelines import label_images

    segmenter, given, settings = loaded(source, masks, device, prune_proposals)
    run = partial(label_images, segmenter, found, vocabulary, output, format, score, min_area, background=others)
    run_and_report(partial(run, masks=given, val=val, resume=resume, settings=settings), output, note)
