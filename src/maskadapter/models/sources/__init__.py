"""Masks from outside the model: SAM, Hugging Face segmenters, superpixels, files."""

from maskadapter.models.sources.mask_logits import at_stride_4
from maskadapter.models.sources.segment_anything import SegmentAnything
from maskadapter.models.sources.source_names import is_source, mask_source, masks_from, parsed
