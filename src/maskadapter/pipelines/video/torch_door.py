"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.pipelines.video.frame_segmenter import VideoFrame, segment_video
from maskadapter.pipelines.video.segmented_video import VideoReport, write_segmented_video
