"""From masks to CLIP embeddings: mask pooling, mask cropping, Mask-Adapter."""

from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import MaskPooling, Pooler, Project
