"""From mask to embedding: two ways of pooling CLIP's features, one interface.

Each says how much of every feature cell goes into the embedding: one or several maps of weights per mask. The embedding
is the mean over the maps of CLIP's projection of what is pooled, comparable with text embeddings, not normalised.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from maskadapter.models.influence import influential
from maskadapter.models.mask_adapter import MaskAdapter, pooling_weights
from maskadapter.models.mask_pooling import area_weights, inside_weights, weighted_sum
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.structures import ClipFeatures

Project = Callable[[Tensor], Tensor]


class Embedding(Protocol):
    """Anything that turns masks into CLIP embeddings."""

    def __call__(
        self,
        images: Tensor,
        features: ClipFeatures,
        mask_logits: Tensor,
        project: Project,
        void_probs: Tensor | None = None,
    ) -> Tensor:
        """(B, N, D). images (B, 3, H, W) normalised; mask_logits (B, N, h, w); project: CLIP's (..., C) -> (..., D);
        void_probs (B, N): how sure the generator is that a mask is of nothing, for embeddings that save work there."""
        ...

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """(B, N, M, h, w): what is pooled, over the cells of ``features.dense``; each map sums to 1."""
        ...


class MaskPooling(nn.Module):
    """Average CLIP's dense features inside the mask, then project: FC-CLIP and MAFT+ as published. One map per mask.

    Args:
        weights: ``"inside"`` counts a cell when the resized mask logit is positive (as published); ``"area"`` weighs
            each cell by the share of it that the mask covers, better for masks smaller than a cell.
    Source: FC-CLIP, section 3.3.
    """

    def __init__(self, weights: Literal["inside", "area"] = "inside") -> None:
        super().__init__()
        self._weigh = {"inside": inside_weights, "area": area_weights}[weights]

    def forward(
        self,
        images: Tensor,
        features: ClipFeatures,
        mask_logits: Tensor,
        project: Project,
        void_probs: Tensor | None = None,
    ) -> Tensor:
        return project(weighted_sum(features.dense, self.weights(features, mask_logits)[:, :, 0]))

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        cells = (features.dense.shape[-2], features.dense.shape[-1])
        return self._weigh(mask_logits.to(features.dense.dtype), cells)[:, :, None]


Computation = Literal["direct", "exact", "default"]
"""How the adapter is computed. "direct": as the paper has it, every mask at every cell. "exact": the same but for
rounding, see ``SparseAdapter``. "default": so for the proposals that have a say in the result, see ``influence``; the
embeddings of the others are guessed at."""


class MaskAdapterEmbedding(nn.Module):
    """Pool CLIP's dense features with each of the adapter's M maps, project each result, average the M.

    The masks are binarised first: sigmoid(logit) > ``mask_threshold``, at their own resolution.

    Args:
        adapter: the trained ``MaskAdapter``.
        mask_threshold: 0 to 1. Source: official MASK_THRESHOLD, 0.5 FC-CLIP, 0.45 MAFT+ base, 0.4 MAFT+ large.
        chunk: masks that go through the adapter at a time. It bounds the memory and does not change the result.
    Source: paper, section 3.2, equation 4; the projection before the mean is the official code's.

    ``computation`` may be set, see ``Computation``.
    """

    def __init__(self, adapter: MaskAdapter, mask_threshold: float = 0.5, chunk: int = 32) -> None:
        super().__init__()
        self.adapter = adapter
        self.mask_threshold = mask_threshold
        self.chunk = chunk
        self.computation: Computation = "default"

    def forward(
        self,
        images: Tensor,
        features: ClipFeatures,
        mask_logits: Tensor,
        project: Project,
        void_probs: Tensor | None = None,
    ) -> Tensor:
        return self.pool(self.weights(features, mask_logits, void_probs), features, project)

    def weights(self, features: ClipFeatures, mask_logits: Tensor, void_probs: Tensor | None = None) -> Tensor:
        """(B, N, M, h, w), as of every ``Embedding``. void_probs: as above."""
        careful = None
        if self.computation == "default" and void_probs is not None:
            careful = torch.stack([influential(*one) for one in zip(mask_logits, void_probs, strict=True)])
        return self._weights(features, mask_logits.sigmoid() > self.mask_threshold, careful)

    def embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        """(B, N, D) of masks (B, N, H, W) that are given as such, bool or 0 to 1, as in training."""
        return self.pool(self._weights(features, masks), features, project)

    @staticmethod
    def pool(weights: Tensor, features: ClipFeatures, project: Project) -> Tensor:
        """(B, N, M, h, w) -> (B, N, D)."""
        return project(torch.einsum("bnmhw,bchw->bnmc", weights, features.dense)).mean(dim=2)

    def _weights(self, features: ClipFeatures, masks: Tensor, careful: Tensor | None = None) -> Tensor:
        if masks.shape[1] == 0:
            return features.dense.new_zeros(*masks.shape[:2], self.adapter.num_maps, *features.dense.shape[-2:])
        which = [None] * len(masks) if careful is None else careful
        maps = torch.stack([self._maps(*picture) for picture in zip(features.projected, masks, which, strict=True)])
        return pooling_weights(maps).unflatten(-1, features.dense.shape[-2:])

    def _maps(self, features: Tensor, masks: Tensor, careful: Tensor | None) -> Tensor:
        """Of one picture: features (D, h, w), masks (N, H, W), careful (N,) -> (N, M, h, w)."""
        if self.computation == "direct":
            return torch.cat([self.adapter(features[None], part[None])[0] for part in masks.split(self.chunk)])
        adapter = SparseAdapter(self.adapter, features[None])
        # Equal masks have equal maps: in the mixed stage the same true mask stands in several slots.
        masks, which = masks.unique(dim=0, return_inverse=True)
        if careful is None:
            return torch.cat([adapter(part) for part in masks.split(self.chunk)])[which]
        maps = adapter.rough(masks)
        for some in which[careful].unique().split(self.chunk):
            maps[some] = adapter(masks[some])
        return maps[which]
