"""The sound of a video, copied as it is beside new frames."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from maskadapter.pipelines.video.video_file import VideoFile, open_container
from maskadapter.system.extras import load_extra


class AudioCopy:
    """Copies the audio streams of a video, packet by packet, into a container that is open for writing; nothing of
    them is decoded. To be made before the container's first packet. dropped: names of the codecs that the container
    cannot hold, whose streams are left out."""

    def __init__(self, video: VideoFile, output: Any) -> None:
        self._errors = load_extra("av", "video").error.FFmpegError
        self._output, self._start = output, video.start
        self._input = open_container(video.path)  # a second time, to be read at a pace of its own
        self.dropped: list[str] = []
        self._copies: dict[int, Any] = {}
        for stream in self._input.streams.audio:
            if stream.codec_context is None:  # FFmpeg has no decoder for it, and PyAV then does not copy it
                self.dropped.append("unknown")
                continue
            try:
                self._copies[stream.index] = output.add_stream_from_template(stream)
            except ValueError:
                self.dropped.append(stream.codec_context.codec.canonical_name)
        self._packets = self._readable()
        self._next = next(self._packets, None)

    def advance(self, seconds: Fraction | None) -> None:
        """Write what sounds before ``seconds`` from the start of the file; None writes all."""
        while self._next is not None:
            packet = self._next
            if seconds is not None and packet.dts * packet.time_base - self._start >= seconds:
                return
            shift = round(self._start / packet.time_base)
            packet.dts -= shift
            if packet.pts is not None:
                packet.pts -= shift
            packet.stream = self._copies[packet.stream.index]
            self._output.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the file that is copied from."""
        self._input.close()

    def _readable(self) -> Iterator[Any]:
        """Packets up to the first that cannot be read; those without a time cannot be placed."""
        if not self._copies:
            return
        try:
            for packet in self._input.demux([self._input.streams[index] for index in self._copies]):
                if packet.dts is not None:
                    yield packet
        except self._errors:
            return
