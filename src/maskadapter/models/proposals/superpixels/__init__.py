"""The embedded model's proposal head: merged superpixels, classified by a small head."""

from maskadapter.models.proposals.superpixels.region_head import SHAPE_FEATURES, RegionHead
