"""Many images at once, a model's evaluation and a file's check: models, data and evaluation put together."""

from typing import TYPE_CHECKING

from maskadapter.pipelines.image_run import Report, find_images
from maskadapter.pipelines.mask_files import MaskedImage
from maskadapter.pipelines.set_folder import check_val, refuse_other_files
from maskadapter.pipelines.switches import GROUND_TRUTH, Branch, check_switches
from maskadapter.pipelines.video import VIDEO_FORMATS, VideoFile, check_video_output
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.pipelines.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.pipelines.torch_door")
