"""Video: reading, segmenting, tracking and writing it, one frame in memory at a time."""

from typing import TYPE_CHECKING

from maskadapter.pipelines.video.video_file import VideoFile
from maskadapter.pipelines.video.video_output import VIDEO_FORMATS, VideoOutput, check_video_output
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.pipelines.video.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.pipelines.video.torch_door")
