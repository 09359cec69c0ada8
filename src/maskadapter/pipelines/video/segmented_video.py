"""A video segmented into files: the frames drawn, and what is in them for programs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskadapter.models import OpenVocabularySegmenter
from maskadapter.pipelines.video.frame_segmenter import FrameSegmenter
from maskadapter.pipelines.video.result_files import ResultFiles
from maskadapter.pipelines.video.video_file import VideoFile
from maskadapter.pipelines.video.video_output import VIDEO_FORMATS, check_video_output
from maskadapter.system.progress import bar
from maskadapter.system.stop_signals import StopSignals, finished_first
from maskadapter.system.working_folder import working_folder
from maskadapter.vocabulary import BACKGROUND


@dataclass(frozen=True)
class VideoReport:
    """files: what was written. frames: how many. things: how many ids each class got, by its name, for the class with
    which an id began. notes: what of the video could not be read or copied, a line each."""

    files: tuple[Path, ...]
    frames: int
    things: Counter[str]
    notes: tuple[str, ...] = ()


def write_segmented_video(
    segmenter: OpenVocabularySegmenter,
    video: str | Path,
    classes: Any,
    output: str | Path,
    formats: str | Sequence[str] = tuple(VIDEO_FORMATS),
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    every: int = 1,
    score: float = 0.0,
    overwrite: bool = False,
) -> VideoReport:
    """Segment a video, follow its things, and write the result; one frame is in memory at a time.

    video, classes, things, background, every, score: as in ``segment_video``, but a file alone.
    output: a folder, or a file that ends in .mp4, .mkv or .mov, beside which the other files are put. formats:
        - ``"overlay"``: the frames with their segments drawn, H.264, with the times of the video's frames and a copy of
          its sound;
        - ``"coco"``: COCO's JSON, with an image for each frame, run-length masks, and ``track_id`` for things;
        - ``"mot"``: MOTChallenge's text, a line for each thing in each frame.
    overwrite: replace files that exist.

    The files appear when all are complete. On Ctrl-C those of the part that is done are put beside, with "-stopped" in
    their names; after an error nothing is left. Raises MaskAdapterError: as ``segment_video``; files that exist; a
    container that does not end in one of these; no H.264 encoder; files that cannot be written.
    """
    places = check_video_output(output, video, formats, overwrite)
    frames = FrameSegmenter(segmenter, classes, things, background, every, score)
    with (
        VideoFile(video) as file,
        working_folder(places.folder, alone=False) as staging,
        ResultFiles(places, staging, file, frames.vocabulary) as files,
    ):
        try:
            with bar("frames", file.frame_count or None) as advance:
                for decoded in file.frames():
                    frame = frames.segment(decoded.image, file.seconds(decoded.pts))
                    with finished_first():  # in every file or in none
                        files.add(frame, decoded)
                    advance(1)
        except KeyboardInterrupt:
            with StopSignals():  # the second of an impatient user; a third ends it
                written = files.publish(whole=False)
            raise KeyboardInterrupt(_stopped(files.count, file.frame_count, written)) from None
        with StopSignals():
            written = files.publish(whole=True)
        notes = tuple(filter(None, (file.damage(), files.sound_left_out())))
    return VideoReport(written, files.count, files.things, notes)


def _stopped(done: int, total: int, written: Sequence[Path]) -> str:
    of = f" of {total:,}" if total else ""
    return f"stopped: {done:,}{of} frames are done" + (f": {', '.join(map(str, written))}" if written else "")
