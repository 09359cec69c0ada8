"""Frames segmented one after another, with an id for each thing that lasts from frame to frame."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.io import read_image
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.pipelines.video.tracking import Tracker
from maskadapter.pipelines.video.video_file import VideoFile
from maskadapter.results import ResultSegment, Segmentation
from maskadapter.types import EncodedImage
from maskadapter.vocabulary import BACKGROUND

_COMPARED = 320  # pixels of the longer side of the masks that are compared


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame with its segments.

    index: from 0. time: seconds from the start of the file, None for frames that come from no file. result: of this
    frame. tracks: id of a segment in ``result`` -> id of the thing that it shows, which lasts over the frames; of
    things alone. carried: whether its masks are those of an earlier frame, because the model did not see this one."""

    index: int
    time: float | None
    result: Segmentation = field(repr=False)
    tracks: Mapping[int, int]
    carried: bool = False


def segment_video(
    segmenter: OpenVocabularySegmenter,
    video: str | Path | Iterable[Any],
    classes: Any,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    every: int = 1,
    score: float = 0.0,
) -> Iterator[VideoFrame]:
    """Yield one frame of a video after another, segmented, each when it is asked for; none is kept.

    video: a file, or frames from anywhere, such as a camera: each an array (H, W, 3) uint8 RGB or what ``read_image``
    takes, all of one size. classes, things, background: as in ``segmenter.segment``. every: of so many frames, the
    model sees the first, and the others have its masks, unchanged. score: 0 to 1, the least of a segment that is kept,
    see ``Segmentation.filter``.

    Things are followed by their masks and mask embeddings, see ``Tracker``; a model that prunes proposals has no such
    embeddings. Raises MaskAdapterError: a file that is not a video, PyAV is not installed, frames of several sizes.
    """
    frames = FrameSegmenter(segmenter, classes, things, background, every, score)
    if isinstance(video, str | Path):
        with VideoFile(video) as file:
            for decoded in file.frames():
                yield frames.segment(decoded.image, file.seconds(decoded.pts))
    else:
        for image in video:
            yield frames.segment(read_image(image))


class FrameSegmenter:
    """Segments the frames of one video in their order; see ``segment_video``."""

    def __init__(
        self,
        segmenter: OpenVocabularySegmenter,
        classes: Any,
        things: Iterable[str] | None = None,
        background: Any = BACKGROUND,
        every: int = 1,
        score: float = 0.0,
    ) -> None:
        if every < 1:
            raise MaskAdapterError(f"every is {every}: 1 or more is needed")
        if not 0 <= score <= 1:
            raise MaskAdapterError(f"score is {score}: a number from 0 to 1 is needed")
        self._segmenter, self._background, self._every, self._score = segmenter, background, every, score
        self._encoded = segmenter.encode_text(classes, things)
        self.vocabulary = self._encoded.vocabulary
        self._tracker = Tracker()
        self._count = 0
        self._seen: VideoFrame | None = None  # the last one that the model saw

    def segment(self, image: np.ndarray, time: float | None = None) -> VideoFrame:
        """The next frame. image: (H, W, 3) uint8 RGB. time: seconds."""
        index = self._count
        if self._seen is not None and self._seen.result.image.shape != image.shape:
            (height, width), (high, wide) = image.shape[:2], self._seen.result.size
            sizes = f"frame {index} has {width} x {height} pixels, and those before {wide} x {high}"
            raise MaskAdapterError(f"{sizes}: the frames of a video have one size")
        if self._seen is None or index % self._every == 0:
            frame = self._seen = self._computed(index, time, image)
        else:
            frame = VideoFrame(index, time, _carried(self._seen.result, image), self._seen.tracks, carried=True)
        self._count += 1
        return frame

    def _computed(self, index: int, time: float | None, image: np.ndarray) -> VideoFrame:
        encoded = self._segmenter.encode_image(image)
        result = self._segmenter.segment(encoded, self._encoded, background=self._background)
        if self._score:
            result = result.filter(score=self._score)
        shown = [segment for segment in result if segment.is_thing and segment.label >= 0]
        masks, labels = _small_masks(shown, result.size), [segment.label for segment in shown]
        before = None if self._seen is None else self._seen.time
        elapsed = float(self._every) if time is None or before is None else max(time - before, 1e-6)
        ids = self._tracker.update(masks, labels, _embeddings(encoded, shown), elapsed)
        tracks = {segment.id: id for segment, id in zip(shown, ids, strict=True)}
        return VideoFrame(index, time, result, tracks)


def _small_masks(segments: list[ResultSegment], size: tuple[int, int]) -> np.ndarray:
    """(N, h, w) bool: the masks at every s-th pixel, enough to compare them."""
    step = max(1, -(-max(size) // _COMPARED))
    masks = np.zeros((len(segments), len(range(0, size[0], step)), len(range(0, size[1], step))), bool)
    for mask, segment in zip(masks, segments, strict=True):
        mask[:] = segment.mask[::step, ::step]
    return masks


def _embeddings(encoded: EncodedImage, segments: list[ResultSegment]) -> np.ndarray | None:
    """(N, D) float32: the mask embeddings of the segments' proposals; None where the model prunes them."""
    if encoded.mask_embeddings is None:
        return None
    rows = encoded.mask_embeddings[0, [segment.proposal for segment in segments]]
    return rows.float().cpu().numpy()


def _carried(result: Segmentation, image: np.ndarray) -> Segmentation:
    """The segments of another frame on this one."""
    kept = result if result.fixed is not None else result.filter()
    return replace(kept, image=image)
