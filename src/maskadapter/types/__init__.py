"""Values that rooms hand to each other."""

from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.encoded_image import EncodedImage
from maskadapter.types.image_batch import ImageBatch
from maskadapter.types.image_sizes import ImageSizes, Size
from maskadapter.types.proposals import INSIDE, Proposals
from maskadapter.types.target import UNLABELED, Target
