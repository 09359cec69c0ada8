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


_FEW = 3  # masks for which it does not pay to compute the empty and the full one besides


class MaskAdapterEmbedding(nn.Module):
    """Pool CLIP's dense features with each of the adapter's M maps, project each result, average the M.

    The masks are binarised first: sigmoid(logit) > ``mask_threshold``, at their own resolution.

    Args:
        adapter: the trained ``MaskAdapter``.
        mask_threshold: 0 to 1. Source: official MASK_THRESHOLD, 0.5 FC-CLIP, 0.45 MAFT+ base, 0.4 MAFT+ large.
        chunk: masks that go through the adapter at a time. It bounds the memory and does not change the result.
    Source: paper, section 3.2, equation 4; the projection before the mean is the official code's.

    The adapter is computed by ``SparseAdapter``, and with void probabilities only for the masks that have a say in the
    result (see ``influence``); the others' maps are guessed at. ``direct`` may be set: it is then computed as the paper
    has it, for every mask at every cell.
    """

    def __init__(self, adapter: MaskAdapter, mask_threshold: float = 0.5, chunk: int = 32) -> None:
        super().__init__()
        self.adapter = adapter
        self.mask_threshold = mask_threshold
        self.chunk = chunk
        self.direct = False

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
        if void_probs is not None:
            careful = torch.stack([influential(*one) for one in zip(mask_logits, void_probs, strict=True)])
        return self._weights(features, mask_logits.sigmoid() > self.mask_threshold, careful)

    def embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        """(B, N, D) of masks (B, N, H, W) that are given as such, bool or 0 to 1, as in training."""
        return self.pool(self._weights(features, masks), features, project)

    def pool(self, weights: Tensor, features: ClipFeatures, project: Project) -> Tensor:
        """(B, N, M, h, w) -> (B, N, D)."""
        pooled = (torch.einsum("bnmhw,bchw->bnmc", part, features.dense) for part in weights.split(self.chunk, dim=1))
        return torch.cat([project(part).mean(dim=2) for part in pooled], dim=1)

    def _weights(self, features: ClipFeatures, masks: Tensor, careful: Tensor | None = None) -> Tensor:
        if masks.shape[1] == 0:
            return features.dense.new_zeros(*masks.shape[:2], self.adapter.num_maps, *features.dense.shape[-2:])
        which = [None] * len(masks) if careful is None else careful
        maps = torch.stack([self._maps(*picture) for picture in zip(features.projected, masks, which, strict=True)])
        return pooling_weights(maps).unflatten(-1, features.dense.shape[-2:])

    def _maps(self, features: Tensor, masks: Tensor, careful: Tensor | None) -> Tensor:
        """Of one picture: features (D, h, w), masks (N, H, W), careful (N,) -> (N, M, h, w)."""
        if self.direct or len(masks) <= _FEW:
            return torch.cat([self.adapter(features[None], part[None])[0] for part in masks.split(self.chunk)])
        adapter = SparseAdapter(self.adapter, features[None])
        if careful is None:
            # Equal masks have equal maps: in the mixed stage of training the same mask stands in several slots.
            masks, which = masks.detach().unique(dim=0, return_inverse=True)
            return torch.cat([adapter(part) for part in masks.split(self.chunk)])[which]
        maps = torch.cat([adapter.rough(part) for part in masks.split(self.chunk)])
        for some in careful.nonzero()[:, 0].split(self.chunk):
            maps[some] = adapter(masks[some])
        return maps
