"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.models.sources.mask_logits import at_stride_4
from maskadapter.models.sources.segment_anything import SegmentAnything
