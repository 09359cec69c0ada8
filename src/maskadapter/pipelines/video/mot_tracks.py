"""The things of a video as MOTChallenge's text: a line for each thing in each frame."""

from typing import TextIO

from maskadapter.pipelines.video.frame_segmenter import VideoFrame


class MotTracks:
    """Writes lines as they come: frame, id, left, top, width, height, score, class, visibility.

    Frames, ids, classes and pixels count from 1. Visibility is always 1: what is hidden of a thing is not known.
    Source: Milan et al., "MOT16: A Benchmark for Multi-Object Tracking", section 4, table 5."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, frame: VideoFrame) -> None:
        """Write the things of the next frame."""
        for segment in frame.result:
            if segment.id in frame.tracks and segment.area:
                left, top, right, bottom = segment.box
                box = f"{left + 1},{top + 1},{right - left},{bottom - top}"
                thing = f"{frame.tracks[segment.id]},{box},{segment.score:.4f},{segment.label + 1}"
                self._file.write(f"{frame.index + 1},{thing},1\n")
