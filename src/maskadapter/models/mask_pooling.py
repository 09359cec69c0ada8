"""Average features inside masks."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pool_inside(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean of the features over the cells inside each mask.

    features: (B, C, h, w). mask_logits: (B, N, H, W), resized to (h, w) first; a cell is inside where its logit is
    positive. Returns (B, N, C); zeros for a mask that covers no cell.
    Source: FC-CLIP, 3.2; official MaskPooling, with its 1e-8 in the denominator.
    """
    inside = (_resize(mask_logits.detach(), features) > 0).to(features.dtype)
    weights = inside / (inside.sum(dim=(-2, -1), keepdim=True) + 1e-8)
    return torch.einsum("bchw,bnhw->bnc", features, weights)


def pool_by_area(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean of the features weighted by how much of each cell a mask covers: small masks keep a value.

    features: (B, C, h, w). mask_logits: (B, N, H, W) at a resolution of at least (h, w). Returns (B, N, C).
    """
    covered = F.adaptive_avg_pool2d((mask_logits.detach() > 0).to(features.dtype), features.shape[-2:])
    weights = covered / (covered.sum(dim=(-2, -1), keepdim=True) + 1e-8)
    return torch.einsum("bchw,bnhw->bnc", features, weights)


def _resize(masks: Tensor, features: Tensor) -> Tensor:
    if masks.shape[-2:] == features.shape[-2:]:
        return masks
    return F.interpolate(masks, features.shape[-2:], mode="bilinear", align_corners=False)
