"""Images, masks and COCO's formats, read and written."""

from maskadapter.io.coco_format import (
    categories,
    coco_info,
    comparable_id,
    decode_segmentation,
    encode_mask,
    image_entry,
    panoptic_ids,
    panoptic_image,
)
from maskadapter.io.files_by_name import file_of
from maskadapter.io.image_files import SUFFIXES, ImageFile, find_image_files
from maskadapter.io.images import ORIENTATION, read_image, read_labels, read_stored, read_stream
from maskadapter.io.input_image import InputImage, read_input
from maskadapter.io.mask_outlines import Outline, outlines_of
from maskadapter.io.masks import mask_parts, read_masks
from maskadapter.io.open_image import MAX_BYTES
