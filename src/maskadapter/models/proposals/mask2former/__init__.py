"""FC-CLIP's and MAFT+'s mask generator, Mask2Former."""

from maskadapter.models.proposals.mask2former.deformable_attention import DeformableAttention
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead
