"""Average features inside masks."""

import torch
import torch.nn.functional as F
from torch import Tensor

CellSize = tuple[int, int]


def pool_inside(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean of the features over the cells inside each mask.

    features: (B, C, h, w). mask_logits: (B, N, H, W). Returns (B, N, C); zeros for a mask that covers no cell.
    Source: FC-CLIP, 3.2; official MaskPooling.
    """
    return weighted_sum(features, inside_weights(mask_logits, (features.shape[-2], features.shape[-1])))


def weighted_sum(features: Tensor, weights: Tensor) -> Tensor:
    """features (B, C, h, w), weights (B, N, h, w) -> (B, N, C)."""
    return torch.einsum("bchw,bnhw->bnc", features, weights)


def inside_weights(mask_logits: Tensor, cells: CellSize) -> Tensor:
    """Equal weights for the cells inside a mask: where its logit, resized to ``cells`` = (h, w), is positive.

    (B, N, H, W) -> (B, N, h, w); each sums to 1, or to 0 for a mask that covers no cell.
    """
    if mask_logits.shape[-2:] != cells and mask_logits.shape[1]:
        mask_logits = F.interpolate(mask_logits, cells, mode="bilinear", align_corners=False)
    return _normalized((mask_logits.detach() > 0).to(mask_logits.dtype), cells)


def area_weights(mask_logits: Tensor, cells: CellSize) -> Tensor:
    """Weights by how much of each cell a mask covers: small masks keep a value.

    (B, N, H, W), at a resolution of at least ``cells`` = (h, w), -> (B, N, h, w), each sums to 1.
    """
    inside = (mask_logits.detach() > 0).to(mask_logits.dtype)
    return _normalized(F.adaptive_avg_pool2d(inside, cells) if inside.shape[1] else inside, cells)


def _normalized(weights: Tensor, cells: CellSize) -> Tensor:
    if not weights.shape[1]:
        return weights.new_zeros(*weights.shape[:2], *cells)
    # Source of the 1e-8: official MaskPooling.
    total = weights.sum(dim=(-2, -1), keepdim=True, dtype=torch.float32) + 1e-8  # in half precision 1e-8 would be 0
    return (weights / total).to(weights.dtype)
