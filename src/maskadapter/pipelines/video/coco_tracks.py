"""The segments of a video as COCO's JSON: an image for each frame, and a track id for each thing."""

import json
from array import array
from collections.abc import Sequence
from typing import TextIO

from maskadapter.io import categories, coco_info, image_entry
from maskadapter.pipelines.video.frame_segmenter import VideoFrame
from maskadapter.results import segment_annotations
from maskadapter.types import Size


class CocoTracks:
    """Writes annotations as they come, so that a long video takes no memory but nine bytes a frame.

    file: open for writing; ``finish`` makes it JSON. video: the file's name."""

    def __init__(self, file: TextIO, video: str, size: Size, names: Sequence[str], is_thing: Sequence[bool]) -> None:
        self._file, self._video, self._size = file, video, size
        self._categories = categories(names, is_thing)
        self._times = array("d")
        self._carried = bytearray()
        self._count = 0
        self._file.write('{"annotations": [')

    def add(self, frame: VideoFrame) -> None:
        """Write the segments of the next frame that have a class."""
        self._times.append(frame.time or 0.0)
        self._carried.append(frame.carried)
        for annotation in segment_annotations(frame.result):
            track = frame.tracks.get(annotation["id"])
            entry = annotation | {"id": self._count + 1, "image_id": len(self._times), "video_id": 1}
            self._write(entry if track is None else entry | {"track_id": track}, self._count)
            self._count += 1

    def finish(self) -> None:
        """Write what describes the frames and classes, and the end of the JSON."""
        height, width = self._size
        self._file.write('\n], "images": [')
        for index, (time, carried) in enumerate(zip(self._times, self._carried, strict=True)):
            image = image_entry(f"{self._video}/{index + 1:06d}.jpg", self._size, index + 1)
            self._write(
                image | {"video_id": 1, "frame_id": index, "time": round(time, 6), "carried": bool(carried)}, index
            )
        rest = {"videos": [{"id": 1, "name": self._video, "height": height, "width": width}]}
        rest |= {"categories": self._categories, **coco_info()}
        self._file.write(f"\n], {json.dumps(rest, ensure_ascii=False)[1:]}\n")

    def _write(self, entry: dict, index: int) -> None:
        self._file.write(("," if index else "") + "\n" + json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
