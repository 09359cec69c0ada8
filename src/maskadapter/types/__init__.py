"""Values that rooms hand to each other."""

from maskadapter.types.compact_mask import CompactMask, Size
from maskadapter.types.encoded_image import INSIDE, ClipFeatures, EncodedImage, ImageBatch, ImageSizes, Proposals
from maskadapter.types.target import UNLABELED, Target
