"""Values that rooms hand to each other."""

from maskadapter.types.encoded_image import INSIDE, ClipFeatures, EncodedImage, Proposals
from maskadapter.types.image_batch import ImageBatch, ImageSizes, Size
from maskadapter.types.target import UNLABELED, Target
