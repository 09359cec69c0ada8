"""From mask to embedding: two ways of pooling CLIP's features, one interface.

``embedding(images, features, mask_logits) -> (B, N, D)``, comparable with text embeddings, not normalised.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from maskadapter.models.mask_adapter import MaskAdapter, pooling_weights
from maskadapter.models.mask_pooling import pool_by_area, pool_inside
from maskadapter.structures import ClipFeatures

Project = Callable[[Tensor], Tensor]


class Embedding(Protocol):
    """Anything that turns masks into CLIP embeddings."""

    def __call__(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        """images (B, 3, H, W) normalised; mask_logits (B, N, h, w); project: CLIP's (..., C) -> (..., D)."""
        ...


class MaskPooling(nn.Module):
    """Average CLIP's dense features inside the mask, then project: FC-CLIP and MAFT+ as published.

    Args:
        weights: ``"inside"`` counts a cell when the resized mask logit is positive (as published); ``"area"`` weighs
            each cell by the share of it that the mask covers, better for masks smaller than a cell.
    Source: FC-CLIP, section 3.3.
    """

    def __init__(self, weights: Literal["inside", "area"] = "inside") -> None:
        super().__init__()
        self.pool = {"inside": pool_inside, "area": pool_by_area}[weights]

    def forward(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        return project(self.pool(features.dense, mask_logits))


class MaskAdapterEmbedding(nn.Module):
    """Pool CLIP's dense features with each of the adapter's M maps, project each result, average the M.

    The masks are binarised first: sigmoid(logit) > ``mask_threshold``, at their own resolution.

    Args:
        adapter: the trained ``MaskAdapter``.
        mask_threshold: 0 to 1. Source: official MASK_THRESHOLD, 0.5 FC-CLIP, 0.45 MAFT+ base, 0.4 MAFT+ large.
        chunk: masks that go through the adapter at a time. It bounds the memory and does not change the result.
    Source: paper, section 3.2, equation 4; the projection before the mean is the official code's.
    """

    def __init__(self, adapter: MaskAdapter, mask_threshold: float = 0.5, chunk: int = 32) -> None:
        super().__init__()
        self.adapter = adapter
        self.mask_threshold = mask_threshold
        self.chunk = chunk

    def forward(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        masks = mask_logits.sigmoid() > self.mask_threshold
        if masks.shape[1] == 0:
            return features.projected.new_zeros(len(masks), 0, features.projected.shape[1])
        return torch.cat([self._embed(features, part, project) for part in masks.split(self.chunk, dim=1)], dim=1)

    def _embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        weights = pooling_weights(self.adapter(features.projected, masks))
        pooled = torch.einsum("bnml,bcl->bnmc", weights, features.dense.flatten(-2))
        return project(pooled).mean(dim=2)
