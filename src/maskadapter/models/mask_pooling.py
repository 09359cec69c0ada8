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
    if mask_logits.shape[-2:] != features.shape[-2:] and mask_logits.shape[1]:
        mask_logits = F.interpolate(mask_logits, features.shape[-2:], mode="bilinear", align_corners=False)
    return _weighted_mean(features, (mask_logits.detach() > 0).to(features.dtype))


def pool_by_area(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean of the features weighted by how much of each cell a mask covers: small masks keep a value.

    features: (B, C, h, w). mask_logits: (B, N, H, W) at a resolution of at least (h, w). Returns (B, N, C).
    """
    inside = (mask_logits.detach() > 0).to(features.dtype)
    if inside.shape[1]:
        inside = F.adaptive_avg_pool2d(inside, (features.shape[-2], features.shape[-1]))
    return _weighted_mean(features, inside)


def _weighted_mean(features: Tensor, weights: Tensor) -> Tensor:
    if not weights.shape[1]:
        return features.new_zeros(*weights.shape[:2], features.shape[1])
    weights = weights / (weights.sum(dim=(-2, -1), keepdim=True) + 1e-8)
    return torch.einsum("bchw,bnhw->bnc", features, weights)
