"""Mask-Adapter as a pooler: activation maps for each mask, and CLIP's features pooled with them."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from maskadapter.models.half_precision import as_kept
from maskadapter.models.mask_adapter import MaskAdapter, pool_with_maps, pooling_weights
from maskadapter.models.poolers.mask_pooling import Project
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.types import ClipFeatures

_TOGETHER = 256  # masks whose maps are in memory together
_AT_A_TIME = {"cpu": 8}  # masks through the adapter: so few stay in a cache, and their memory is used again
_ELSEWHERE = 128
_SUMMED = 32  # masks at a time; fewer would make the products of pooling and projecting small
# Up to so many masks the sparse computation is slower: it also needs the maps of an empty and a full mask.
FEW = 3


class AdapterPooler(nn.Module):
    """Pool CLIP's dense features with the adapter's M maps of each mask, project and average: equation 4.

    The masks are binarized first: sigmoid(logit) > ``mask_threshold``, at their own resolution. The maps are computed
    by ``SparseAdapter``, as ``MaskAdapter.forward`` would but for rounding. chunk: masks that go through the adapter at
    a time, which bounds the memory; None for 8 on a CPU and 128 elsewhere. Source: paper, section 3.2."""

    def __init__(self, adapter: MaskAdapter, *, chunk: int | None = None) -> None:
        super().__init__()
        self.adapter, self.chunk = adapter, chunk

    @property
    def mask_threshold(self) -> float:
        """0 to 1, see ``AdapterConfig``."""
        return self.adapter.config.mask_threshold

    def forward(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        """Mask embeddings (B, N, D), see ``Pooler``. images: not used."""
        return self.embed(features, self.binary(mask_logits), project)

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """Pooling weights (B, N, M, h, w), see ``Pooler``."""
        images = zip(features.projected, self.binary(mask_logits), strict=True)
        maps = torch.stack([self.activation_maps(*image) for image in images])
        return pooling_weights(maps).unflatten(-1, features.dense.shape[-2:])

    def embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        """Embeddings (B, N, D) of masks (B, N, H, W) that are bool or 0 to 1, as in training."""
        maps = (partial(self.activation_maps, projected) for projected in features.projected)
        images = zip(maps, masks, features.dense, strict=True)
        return torch.stack([self.pool(*image, project) for image in images])

    def binary(self, mask_logits: Tensor) -> Tensor:
        """(B, N, H, W) logits -> bool: what the adapter takes for the mask."""
        return torch.cat([part.sigmoid() > self.mask_threshold for part in mask_logits.split(_TOGETHER, dim=1)], dim=1)

    def activation_maps(self, projected: Tensor, masks: Tensor) -> Tensor:
        """Raw maps (N, M, h, w) of one image: projected features (D, h, w), masks (N, H, W)."""
        if not len(masks):
            return projected.new_zeros(0, self.adapter.config.num_maps, *projected.shape[-2:])
        if len(masks) <= FEW:
            return self.in_chunks(partial(self.at_every_location, projected), masks)
        # Equal masks have equal maps: in the mixed stage of training the same mask stands in several slots.
        masks, which = distinct(masks.detach())
        return self.in_chunks(SparseAdapter(self.adapter, projected[None]), masks)[which]

    def at_every_location(self, projected: Tensor, masks: Tensor) -> Tensor:
        """The same by ``MaskAdapter.forward``: faster for a few masks."""
        with as_kept(self.adapter.fuse) as float32:
            return float32(self.adapter(projected[None], masks[None])[0])

    def in_chunks(self, maps_of: Callable[[Tensor], Tensor], masks: Tensor) -> Tensor:
        """Apply ``maps_of`` to some masks at a time."""
        return torch.cat([maps_of(part) for part in self._split(masks)])

    def pool(self, maps_of: Callable[[Tensor], Tensor], masks: Tensor, dense: Tensor, project: Project) -> Tensor:
        """Embeddings (N, D) of one image's masks (N, H, W), with the maps of ``maps_of`` and features (C, h, w)."""
        pieces = (piece for part in masks.split(_TOGETHER) for piece in self._split(maps_of(part), _SUMMED))
        return torch.cat([pool_with_maps(maps, dense, project) for maps in pieces])

    def _split(self, masks: Tensor, least: int = 1) -> Sequence[Tensor]:
        return masks.split(max(least, self.chunk or _AT_A_TIME.get(masks.device.type, _ELSEWHERE)))


def distinct(masks: Tensor) -> tuple[Tensor, Tensor]:
    """The different ones of masks (N, H, W), and the number (N,) of each mask among them.

    By their sums with random weights, which are then compared: sorting whole masks takes a GPU half a second."""
    weights = torch.rand(masks.shape[1:], generator=torch.Generator().manual_seed(0), device="cpu").to(masks.device)
    sums = torch.cat([(part * weights).sum(dim=(1, 2)) for part in masks.split(_SUMMED)])
    known, which = sums.unique(return_inverse=True)
    places = torch.arange(len(masks), device=masks.device)
    one_of_each = places.new_empty(len(known)).scatter_(0, which, places)
    if torch.equal(masks[one_of_each][which], masks):
        return masks[one_of_each], which
    return masks, places  # two that differ have the same sum
