"""Video files, decoded one frame at a time."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.video.orientation import upright
from maskadapter.system.extras import load_extra
from maskadapter.system.paths import user_path

# Containers that hold all their data themselves. Playlists and lists of images are not among them: such a file could
# name any path or address to be opened.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,gif,h264,hevc,ivf,nut,wav,mp3,aac"
_MICROSECONDS = 1_000_000
_MISSING = 0.1  # share of the length that a file states, from which on a missing end is reported


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """One frame of a file. image: (H, W, 3) uint8 RGB, upright. pts: when it is shown, in units of the file's time
    base, from the start of the file. duration: in the same units; 0 where the file does not state it."""

    image: np.ndarray = field(repr=False)
    pts: int
    duration: int


class VideoFile:
    """A video that is open for reading; a context manager.

    name: of the file. time_base: seconds of one unit of a frame's ``pts``. start: seconds by which times in the file
    are later than those of the frames. rate: frames a second on average; 25 where the file does not state it.
    frame_count: as the file states it, 0 where it does not. pixel_aspect: width of an upright pixel by its height.

    Raises MaskAdapterError, one line: no such file, not a video, without a video stream, PyAV is not installed."""

    def __init__(self, path: str | Path) -> None:
        self.path = user_path(path, MaskAdapterError)
        self.name = self.path.name
        self._av = load_extra("av", "video")
        self.container = open_container(self.path)
        try:
            cover = self._av.stream.Disposition.attached_pic
            streams = [one for one in self.container.streams.video if not one.disposition & cover]
            if not streams or not streams[0].codec_context:
                raise MaskAdapterError(f"{path} holds no video: a file with a video stream is needed")
            self._stream = streams[0]
            self.time_base = Fraction(self._stream.time_base)
            self.rate = Fraction(self._stream.average_rate or 25)
            self.frame_count = int(self._stream.frames)
            self.start = Fraction(max(0, self.container.start_time or 0), _MICROSECONDS)
        except BaseException:
            self.container.close()
            raise
        self.pixel_aspect = Fraction(1)
        self._undecoded = 0  # packets
        self._end = Fraction(0)  # seconds

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.container.close()

    def seconds(self, pts: int) -> float:
        """Seconds from the start of the file."""
        return float(pts * self.time_base)

    def frames(self) -> Iterator[DecodedFrame]:
        """Decode the frames, in the order in which they are shown, each when it is asked for. What cannot be decoded
        is left out, see ``damage``. Raises MaskAdapterError where there is no frame at all."""
        reformatter = self._av.video.reformatter.VideoReformatter()
        usual = max(1, round(1 / (self.rate * self.time_base)))
        shift, last, size = round(self.start / self.time_base), None, None
        for frame in self._decoded():
            if size is None:  # later ones of another size are shown in that of the first, as players do
                size = frame.width, frame.height
            # Files that were cut or joined hold times that are missing or go backwards, which no container takes.
            pts = (0 if last is None else last + usual) if frame.pts is None else frame.pts - shift
            pts = pts if last is None else max(pts, last + 1)
            rgb = reformatter.reformat(frame, format="rgb24", width=size[0], height=size[1]).to_ndarray()
            image, turned = upright(rgb, _display_matrix(frame))
            aspect = self._stream.sample_aspect_ratio
            if last is None and aspect:
                self.pixel_aspect = 1 / Fraction(aspect) if turned else Fraction(aspect)
            last, duration = pts, int(frame.duration or 0)
            self._end = (pts + (duration or usual)) * self.time_base
            yield DecodedFrame(image, pts, duration)
        if last is None:
            raise MaskAdapterError(f"{self.path} holds no frame that can be decoded: the file is empty or damaged")

    def damage(self) -> str:
        """What of the file could not be read, in one line; empty where all was. Known once the frames are at their
        end."""
        lost = f"{self._undecoded:,} packets of {self.name} could not be decoded" if self._undecoded else ""
        stated = Fraction(self._stream.duration or 0) * self.time_base
        if stated and self._end < (1 - _MISSING) * stated:
            lost = f"{self.name} ends after {float(self._end):.1f} of {float(stated):.1f} s"
        return f"{lost}: the file is cut off or damaged" if lost else ""

    def _decoded(self) -> Iterator[Any]:
        packets = self.container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except self._av.error.FFmpegError:
                self._undecoded += 1
                break
            try:
                frames = packet.decode()
            except self._av.error.FFmpegError:
                self._undecoded += 1
                continue
            yield from frames
        with suppress(self._av.error.FFmpegError):
            yield from self._stream.decode(None)  # what the decoder holds back


def open_container(path: Path) -> Any:
    """A file, opened by PyAV for reading. Raises MaskAdapterError, one line."""
    av = load_extra("av", "video")
    try:
        if not path.is_file():
            raise MaskAdapterError(f"no such video: {path}" if not path.exists() else f"{path} is not a file")
        limits = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        # An absolute path: FFmpeg reads "a:b" as the file "b" of a protocol "a".
        return av.open(str(path.absolute()), container_options=limits, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = "the file is empty" if path.stat().st_size == 0 else getattr(error, "strerror", None) or error
        raise MaskAdapterError(f"cannot read {path} as a video: {reason}") from None


def _display_matrix(frame: Any) -> np.ndarray | None:
    if "DISPLAYMATRIX" not in frame.side_data:
        return None
    return np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)
