"""``maskadapter video``."""

import logging
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from maskadapter.cli.options import Background, Classes, Device, ModelSource, Prune, Things, with_model_source
from maskadapter.cli.segment import loaded
from maskadapter.vocabulary import BACKGROUND, Vocabulary, background_line, competing_classes

_LOG = logging.getLogger(__name__)


@with_model_source()
def video(
    file: Annotated[Path, Argument(metavar="VIDEO", help="A video file.")],
    classes: Classes,
    output: Annotated[Path, Option("--output", "-o", help="A folder, or a file: .mp4, .mkv or .mov.")] = Path("out"),
    save: Annotated[str, Option(help="Of overlay, coco, mot.")] = "overlay,coco,mot",
    every: Annotated[
        int, Option(min=1, help="Let the model see every Nth frame; the frames between keep its masks.")
    ] = 1,
    background: Background = BACKGROUND,
    things: Things = None,
    score: Annotated[float, Option(min=0, max=1, help="Leave out segments with a lower score.")] = 0.0,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace files that exist.")] = False,
    device: Device = "cpu",
    prune_proposals: Prune = False,
    *,
    source: ModelSource,
) -> None:
    """Segment a video frame by frame, and follow its things, each with an id: a new video, COCO's JSON, MOT's text.

    Example: [bold]maskadapter video clip.mp4 --classes "person, dog, grass" --every 5[/]
    """
    from maskadapter.pipelines import VideoFile, check_video_output

    vocabulary = Vocabulary.of(classes, things)
    others = competing_classes(vocabulary, background)
    check_video_output(output, file, save, overwrite)
    with VideoFile(file):
        pass
    from maskadapter.pipelines import write_segmented_video

    segmenter, _, _ = loaded(source, None, device, prune_proposals)
    options = {"background": others, "every": every, "score": score, "overwrite": overwrite}
    report = write_segmented_video(segmenter, file, vocabulary, output, save, **options)
    seen = ", ".join(f"{name} {count:,}" for name, count in report.things.most_common())
    print(f"{report.frames:,} frames; things followed: {seen or 'none'}")
    print(background_line(vocabulary, background), *report.files, sep="\n")
    for note in report.notes:
        _LOG.warning(note)
