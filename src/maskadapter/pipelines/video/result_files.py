"""The files of a segmented video while they are in the making, and their move to where they are asked for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.video.coco_tracks import CocoTracks
from maskadapter.pipelines.video.frame_overlay import draw_frame
from maskadapter.pipelines.video.frame_segmenter import VideoFrame
from maskadapter.pipelines.video.mot_tracks import MotTracks
from maskadapter.pipelines.video.video_file import DecodedFrame, VideoFile
from maskadapter.pipelines.video.video_output import VideoOutput
from maskadapter.pipelines.video.video_writer import VideoWriter
from maskadapter.system.extras import load_extra
from maskadapter.types import Size
from maskadapter.vocabulary import Vocabulary


class ResultFiles:
    """Writes every frame into the files of ``places``, in the folder ``staging`` at first; a context manager.

    count: frames so far. things: how many ids each class got, by its name. Its methods raise MaskAdapterError, one
    line, where the system refuses (disk full)."""

    def __init__(self, places: VideoOutput, staging: Path, video: VideoFile, vocabulary: Vocabulary) -> None:
        self._places, self._staging, self._video, self._vocabulary = places, staging, video, vocabulary
        self._errors = load_extra("av", "video").error.FFmpegError
        self._open = ExitStack()
        self._movie: VideoWriter | None = None
        self._coco: CocoTracks | None = None
        self._mot: MotTracks | None = None
        self._ids = set[int]()
        self.count = 0
        self.things = Counter[str]()

    def __enter__(self) -> "ResultFiles":
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError, self._errors):  # of what is removed, or was written before
            self._open.close()

    def add(self, frame: VideoFrame, decoded: DecodedFrame) -> None:
        """Write the next frame, which is of ``decoded``."""
        with self._refusals():
            if not self.count:
                self._start(frame.result.size)
            if self._movie:
                self._movie.write(draw_frame(frame), decoded.pts, decoded.duration)
            if self._coco:
                self._coco.add(frame)
            if self._mot:
                self._mot.add(frame)
        self.count += 1
        for segment in frame.result:
            if (id := frame.tracks.get(segment.id)) is not None and id not in self._ids:
                self._ids.add(id)
                self.things[segment.class_name] += 1

    def publish(self, whole: bool) -> tuple[Path, ...]:
        """Complete the files, and move them to their places; return these. whole: all frames are written, and the
        sound behind the last is added; otherwise the names say that the files are a part."""
        if not self.count:
            return ()
        with self._refusals():
            if self._movie:
                self._movie.finish(whole)
            if self._coco:
                self._coco.finish()
            self._open.close()
            places = []
            for format, name in self._places.names.items():
                places.append(self._places.folder / name if whole else self._places.stopped(format))
                (self._staging / name).replace(places[-1])
        return tuple(places)

    def sound_left_out(self) -> str:
        """Which audio streams were not copied, in one line; empty where all were."""
        if not self._movie or not self._movie.dropped:
            return ""
        suffix, codecs = Path(self._places.names["overlay"]).suffix, ", ".join(self._movie.dropped)
        remedy = "" if suffix == ".mkv" else "; an output that ends in .mkv takes more kinds"
        return f"the sound ({codecs}) is left out: {suffix} cannot hold it{remedy}"

    def _start(self, size: Size) -> None:
        names, names_of = self._places.names, self._vocabulary
        if "overlay" in names:
            self._movie = self._open.enter_context(VideoWriter(self._staging / names["overlay"], self._video, size))
        if "coco" in names:
            video = self._video.path.stem
            self._coco = CocoTracks(self._text("coco"), video, size, names_of.names, names_of.is_thing)
        if "mot" in names:
            self._mot = MotTracks(self._text("mot"))

    def _text(self, format: str) -> TextIO:
        path = self._staging / self._places.names[format]
        return self._open.enter_context(path.open("w", encoding="utf-8", newline="\n"))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (OSError, self._errors) as error:
            reason = getattr(error, "strerror", None) or error
            raise MaskAdapterError(f"cannot write {self._places.folder}: {reason}") from error
