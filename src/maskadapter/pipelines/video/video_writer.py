"""Frames written as a video that every player shows: H.264, 8 bits, 4:2:0."""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.video.audio_copy import AudioCopy
from maskadapter.pipelines.video.video_file import VideoFile
from maskadapter.system.extras import load_extra

_CODEC = "libx264"
_OPTIONS = {"crf": "20", "preset": "fast"}
_BT709 = 1  # Source: ITU-T H.273, tables 2 to 4: the same number for primaries, transfer and matrix
_LIMITED_RANGE = 1  # Source: FFmpeg, AVCOL_RANGE_MPEG


class VideoWriter:
    """Writes frames with the times of the video that they are made of, and copies its sound; a context manager.

    path: its suffix tells the container. size: (height, width) of the frames; an odd one is padded by a line that
    repeats the last. Raises MaskAdapterError, one line: no H.264 encoder, or the system refuses."""

    def __init__(self, path: Path, video: VideoFile, size: tuple[int, int]) -> None:
        self._av = load_extra("av", "video")
        self._path, self._time_base = path, video.time_base
        self._padding = [(0, size[0] % 2), (0, size[1] % 2), (0, 0)]
        self._colors = self._av.video.reformatter.VideoReformatter()
        self._output = self._av.open(str(path.absolute()), "w", container_options=self._container(path))
        self._stream = self._encoder(video, size)
        self._audio = AudioCopy(video, self._output)

    @staticmethod
    def _container(path: Path) -> dict[str, str]:
        # The index first, so that a browser shows the video while it loads.
        return {} if path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}

    def _encoder(self, video: VideoFile, size: tuple[int, int]) -> Any:
        try:
            stream = self._output.add_stream(_CODEC, rate=video.rate, options=_OPTIONS)
        except (self._av.error.FFmpegError, ValueError) as error:
            problem = f"this build of PyAV cannot write H.264 ({error})"
            raise MaskAdapterError(f"{problem}: pip install 'maskadapter[video]'") from None
        stream.height, stream.width = size[0] + size[0] % 2, size[1] + size[1] % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = video.time_base
        context.sample_aspect_ratio = video.pixel_aspect
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        return stream

    @property
    def dropped(self) -> list[str]:
        """Codecs of the sound that the container cannot hold."""
        return self._audio.dropped

    def write(self, image: np.ndarray, pts: int, duration: int) -> None:
        """Write a frame (H, W, 3) uint8 RGB, and the sound before it. pts, duration: as of a ``DecodedFrame``."""
        self._audio.advance(pts * self._time_base)
        rgb = self._av.VideoFrame.from_ndarray(np.pad(image, self._padding, mode="edge"), format="rgb24")
        frame = self._colors.reformat(rgb, format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE)
        frame.pts, frame.time_base, frame.duration = pts, self._time_base, duration
        self._output.mux(self._stream.encode(frame))

    def finish(self, whole: bool) -> None:
        """Write what the encoder holds back, and the index of the file. whole: and the sound that is left."""
        self._output.mux(self._stream.encode(None))
        if whole:
            self._audio.advance(None)
        self._output.close()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._audio.close()
        self._output.close()
