"""What the segmenter needs of a pooler, and the simplest one: average CLIP's features inside each mask."""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.types import INSIDE, ClipFeatures, Size

# CLIP's projection into the space of text embeddings, (..., C) -> (..., D)
Project = Callable[[Tensor], Tensor]


class Pooler(Protocol):
    """Turns masks into CLIP embeddings."""

    def __call__(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        """Embeddings (B, N, D), not normalized, of mask_logits (B, N, h, w). images: (B, 3, H, W), as the networks'."""

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """Pooling weights (B, N, M, h, w) over the locations of ``features.dense``, M maps per mask, each sums to 1."""


class MaskPooling(nn.Module):
    """Average CLIP's dense features inside the mask, then project: FC-CLIP and MAFT+ as published. One map per mask.

    weights: ``"inside"`` counts a feature location where the resized mask logit is positive (as published); ``"area"``
    weighs it by the share that the mask covers, better for small masks. Source: FC-CLIP, section 3.3."""

    def __init__(self, weights: Literal["inside", "area"] = "inside") -> None:
        super().__init__()
        self._weigh = {"inside": inside_weights, "area": area_weights}[weights]

    def forward(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        """Mask embeddings (B, N, D), see ``Pooler``. images: not used."""
        return project(weighted_sum(features.dense, self.weights(features, mask_logits)[:, :, 0]))

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """Pooling weights (B, N, 1, h, w), see ``Pooler``; all 0 for a mask that covers no location."""
        size = (features.dense.shape[-2], features.dense.shape[-1])
        return self._weigh(mask_logits.to(features.dense.dtype), size)[:, :, None]

    def keep_small(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """mask_logits (B, N, h, w), in which each mask that ``weights`` would lose, because it covers no feature
        location by that rule, became the location that it covers most. For masks that a user gives: of proposals the
        published models lose such masks."""
        size = (features.dense.shape[-2], features.dense.shape[-1])
        lost = ~is_empty(mask_logits) & ~self.weights(features, mask_logits).flatten(2).any(dim=-1)
        if lost.any():
            best = area_weights(mask_logits[lost][None], size).flatten(2).argmax(dim=-1)
            location = F.one_hot(best, size[0] * size[1]).view(1, -1, *size).to(mask_logits)
            grown = F.interpolate(location, mask_logits.shape[-2:]).sub(0.5).mul(2 * INSIDE)
            mask_logits = mask_logits.masked_scatter(lost[..., None, None], grown)
        return mask_logits


def is_empty(mask_logits: Tensor) -> Tensor:
    """(B, N) bool: which masks, logits (B, N, h, w), cover nothing."""
    return mask_logits.amax(dim=(-2, -1)) <= 0


def pool_inside(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Average features (B, C, h, w) over the locations inside each mask, logits (B, N, H, W): (B, N, C), zeros for a
    mask that covers no location. Source: FC-CLIP, 3.2; official MaskPooling."""
    return weighted_sum(features, inside_weights(mask_logits, (features.shape[-2], features.shape[-1])))


def weighted_sum(features: Tensor, weights: Tensor) -> Tensor:
    """Sum features (B, C, h, w) with weights (B, N, h, w): (B, N, C)."""
    return torch.einsum("bchw,bnhw->bnc", features, weights)


def inside_weights(mask_logits: Tensor, size: Size) -> Tensor:
    """Weigh all locations inside a mask equally: those where its logit, resized to ``size`` = (h, w), is positive.
    (B, N, H, W) -> (B, N, h, w); each map sums to 1, or to 0 for a mask that covers no location."""
    if mask_logits.shape[-2:] != size and mask_logits.shape[1]:
        mask_logits = F.interpolate(mask_logits, size, mode="bilinear", align_corners=False)
    return _normalized((mask_logits.detach() > 0).to(mask_logits.dtype), size)


def area_weights(mask_logits: Tensor, size: Size) -> Tensor:
    """Weigh each feature location by the share of it that a mask covers, so that small masks keep a value.
    (B, N, H, W), at a resolution of at least ``size`` = (h, w), -> (B, N, h, w); each map sums to 1."""
    inside = (mask_logits.detach() > 0).to(mask_logits.dtype)
    average = _averaged if torch.compiler.is_exporting() else F.adaptive_avg_pool2d
    return _normalized(average(inside, size) if inside.shape[1] else inside, size)


def _averaged(x: Tensor, size: Size) -> Tensor:
    """As ``F.adaptive_avg_pool2d``, for exported graphs: ONNX has no such operator for a size known only there."""
    rows, columns = (_shares(inputs, count, x) for inputs, count in zip(x.shape[-2:], size, strict=True))
    return rows @ x @ columns.T


def _shares(inputs: int, outputs: int, example: Tensor) -> Tensor:
    """What each of ``inputs`` locations of a side counts in each of ``outputs`` means, (outputs, inputs)."""
    output, place = (torch.arange(n, device=example.device)[:, None] for n in (outputs, inputs))
    first, end = output * inputs // outputs, ((output + 1) * inputs + outputs - 1) // outputs
    inside = ((first <= place.T) & (end > place.T)).to(example.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


def _normalized(weights: Tensor, size: Size) -> Tensor:
    if not weights.shape[1]:
        return weights.new_zeros(*weights.shape[:2], *size)
    # 1e-8 would be 0 in half precision. Source of the number: official MaskPooling.
    total = weights.sum(dim=(-2, -1), keepdim=True, dtype=torch.float32)
    # onnxruntime drops an addition of so little, and an empty mask would divide by 0
    total = total.clamp(min=1e-8) if torch.compiler.is_exporting() else total + 1e-8
    return (weights / total).to(weights.dtype)
