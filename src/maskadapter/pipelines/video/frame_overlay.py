"""A frame drawn with its segments: a color for each class, a number for each thing."""

import numpy as np

from maskadapter.pipelines.video.frame_segmenter import VideoFrame
from maskadapter.results import colors_of, draw_overlay


def draw_frame(frame: VideoFrame) -> np.ndarray:
    """The frame (H, W, 3) uint8 with its segments tinted, outlined and named: "dog 3" is the thing of id 3. The color
    is the class's, in every frame; where segments overlap, the smaller is on top."""
    result = frame.result
    shown = sorted((segment for segment in result if segment.label >= 0), key=lambda segment: -segment.area)
    keys = list(dict.fromkeys((segment.label, frame.tracks.get(segment.id)) for segment in shown))
    labels = np.full(result.size, -1, np.int32)
    for segment in shown:
        place = keys.index((segment.label, frame.tracks.get(segment.id)))
        labels[segment.compact.inside][segment.compact.crop] = place
    names = [
        result.class_names[label] if track is None else f"{result.class_names[label]} {track}" for label, track in keys
    ]
    palette = colors_of(result.class_names)
    return np.asarray(draw_overlay(result.image, labels, names, colors=[palette[label] for label, _ in keys]))
