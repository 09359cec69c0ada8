"""From mask to embedding: two ways of pooling CLIP's features, one interface.

Each says how much of every feature cell goes into the embedding: one or several maps of weights per mask. The embedding
is the mean over the maps of CLIP's projection of what is pooled, comparable with text embeddings, not normalized.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from maskadapter.models.mask_adapter import MaskAdapter, pooling_weights
from maskadapter.models.poolers.mask_pooling import area_weights, inside_weights, weighted_sum
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.types.clip_features import ClipFeatures

Project = Callable[[Tensor], Tensor]

Decide = Callable[[Tensor], Tensor]
"""(B, N, D), a guess at embeddings -> (B, N) bool: which of them are to be computed with care."""


class Pooler(Protocol):
    """Anything that turns masks into CLIP embeddings."""

    def __call__(
        self,
        images: Tensor,
        features: ClipFeatures,
        mask_logits: Tensor,
        project: Project,
        decide: Decide | None = None,
    ) -> Tensor:
        """(B, N, D). images (B, 3, H, W) normalized; mask_logits (B, N, h, w); project: CLIP's (..., C) -> (..., D);
        decide: for embeddings that can guess; without it nothing is guessed."""
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
        decide: Decide | None = None,
    ) -> Tensor:
        return project(weighted_sum(features.dense, self.weights(features, mask_logits)[:, :, 0]))

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        cells = (features.dense.shape[-2], features.dense.shape[-1])
        return self._weigh(mask_logits.to(features.dense.dtype), cells)[:, :, None]


_TOGETHER = 256  # masks whose maps are in memory together
_FEW = 3  # masks for which it does not pay to compute the empty and the full one besides
# Cells that the blocks are taken to see where some masks are guessed at anyway; chosen as what `influence` counts.
_REACH = (2, 0)


class AdapterPooler(nn.Module):
    """Pool CLIP's dense features with each of the adapter's M maps, project each result, average the M.

    The masks are binarized first: sigmoid(logit) > ``mask_threshold``, at their own resolution.

    Args:
        adapter: the trained ``MaskAdapter``; its config has the ``mask_threshold``.
        chunk: masks that go through the adapter at a time; None for 8 on a CPU and 32 elsewhere. It bounds the memory
            and does not change the result.
    Source: paper, section 3.2, equation 4; the projection before the mean is the official code's.

    The adapter is computed by ``SparseAdapter``. ``direct`` may be set: it is then computed as the paper has it, for
    every mask at every cell.
    """

    def __init__(self, adapter: MaskAdapter, *, chunk: int | None = None) -> None:
        super().__init__()
        self.adapter = adapter
        self.chunk = chunk
        self.direct = False

    def forward(
        self,
        images: Tensor,
        features: ClipFeatures,
        mask_logits: Tensor,
        project: Project,
        decide: Decide | None = None,
    ) -> Tensor:
        masks = self._binary(mask_logits)
        if decide is None or self.direct or masks.shape[1] <= _FEW:
            return self.embed(features, masks, project)
        adapters = [SparseAdapter(self.adapter, one[None], _REACH) for one in features.projected]
        per_image = list(zip(adapters, masks, features.dense, strict=True))
        guesses = [
            self._embedded(partial(self._in_chunks, adapter.rough), some, dense, project)
            for adapter, some, dense in per_image
        ]
        embeddings = torch.stack(guesses)
        for guessed, chosen, (adapter, some, dense) in zip(embeddings, decide(embeddings), per_image, strict=True):
            guessed[chosen] = self._embedded(partial(self._in_chunks, adapter), some[chosen], dense, project)
        return embeddings

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        masks = self._binary(mask_logits)
        maps = [self._maps(*image) for image in zip(features.projected, masks, strict=True)]
        return pooling_weights(torch.stack(maps)).unflatten(-1, features.dense.shape[-2:])

    def embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        """(B, N, D) of masks (B, N, H, W) that are given as such, bool or 0 to 1, as in training."""
        images = zip(features.projected, masks, features.dense, strict=True)
        return torch.stack(
            [self._embedded(partial(self._maps, one), some, dense, project) for one, some, dense in images]
        )

    @property
    def mask_threshold(self) -> float:
        """0 to 1, see ``AdapterConfig``."""
        return self.adapter.config.mask_threshold

    def _binary(self, mask_logits: Tensor) -> Tensor:
        parts = mask_logits.split(_TOGETHER, dim=1)
        return torch.cat([part.sigmoid() > self.mask_threshold for part in parts], dim=1)

    def _embedded(self, maps_of: Callable[[Tensor], Tensor], masks: Tensor, dense: Tensor, project: Project) -> Tensor:
        """Of one image: masks (N, H, W), features (C, h, w) -> (N, D)."""
        return torch.cat([self._pool(maps_of(part), dense, project) for part in masks.split(_TOGETHER)])

    def _maps(self, features: Tensor, masks: Tensor) -> Tensor:
        """Of one image: features (D, h, w), masks (N, H, W) -> (N, M, h, w) raw maps."""
        if not len(masks):
            return features.new_zeros(0, self.adapter.config.num_maps, *features.shape[-2:])
        if self.direct or len(masks) <= _FEW:
            return self._in_chunks(lambda part: self.adapter(features[None], part[None])[0], masks)
        # Equal masks have equal maps: in the mixed stage of training the same mask stands in several slots.
        masks, which = masks.detach().unique(dim=0, return_inverse=True)
        return self._in_chunks(SparseAdapter(self.adapter, features[None]), masks)[which]

    def _in_chunks(self, maps_of: Callable[[Tensor], Tensor], masks: Tensor) -> Tensor:
        return torch.cat([maps_of(part) for part in self._split(masks)])

    def _pool(self, maps: Tensor, dense: Tensor, project: Project) -> Tensor:
        """Of one image: maps (N, M, h, w), features (C, h, w) -> (N, D)."""
        parts = (pooling_weights(part) @ dense.flatten(1).T for part in self._split(maps))
        return torch.cat([project(part).mean(dim=1) for part in parts])

    def _split(self, masks: Tensor) -> Sequence[Tensor]:
        # On a CPU small tensors stay in its cache, and their memory is used again instead of given back.
        return masks.split(self.chunk or (8 if masks.device.type == "cpu" else 32))
