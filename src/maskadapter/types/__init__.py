"""Values that rooms hand to each other."""

from maskadapter.types.encoded_image import INSIDE, ClipFeatures, EncodedImage, ImageBatch, ImageSizes, Proposals, Size
from maskadapter.types.target import UNLABELED, Target
