"""Compute the adapter's maps only where a mask's boundary lies in the receptive field: the same result, faster.

Far inside a mask and far outside it, a location sees only ones or only zeros within its receptive field, and has the
value that a full mask, or an empty one, has at that location. These two go through the adapter once per image; for
every other mask only the locations in between are computed. But for rounding the result is that of
``MaskAdapter.forward``, and so are the gradients of its parameters and of the features; masks get none."""

from collections.abc import Callable, Sequence
from copy import copy

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maskadapter.models.half_precision import as_kept
from maskadapter.models.mask_adapter import ConvNeXtBlock, MaskAdapter

# Locations that go through an MLP at a time: its hidden layer, four times wider, is the largest tensor. With bf16
# oneDNN takes 1.5 times as long for each of 700 to 1300 rows as for fewer or for more.
_ROWS = {"cpu": 512}
_ROWS_ELSEWHERE = 2**16
_ROUNDING = 2e-6  # share of the largest value by which patches of equal windows may differ: masks are resized before


class SparseAdapter:
    """Semantic activation maps of any number of masks of one image.

    features: (1, D, h, w), the image's projected dense features. reach: locations on each side that each block's
    convolution is taken to see, the last number for all further blocks: with fewer than it does see, the influence of a
    distant boundary is neglected, and the result is near the exact one."""

    def __init__(
        self, adapter: MaskAdapter, features: Tensor, reach: Sequence[int] = (ConvNeXtBlock.KERNEL // 2,)
    ) -> None:
        self._adapter = adapter
        self._reach = tuple(reach)
        self._size = (features.shape[-2], features.shape[-1])
        # The stem's last convolution and the fusing one are linear, with nothing in between: together they are one
        # small matrix, and the part that does not depend on the mask is computed once per image.
        weight, last_bias = adapter.patchify[-1].parameters()
        self._from_mask = adapter.fuse.weight.flatten(1)[:, -len(weight) :].to(weight) @ weight.flatten(1)
        bias = last_bias[None, :, None, None].expand(1, -1, *self._size)
        with as_kept(adapter.fuse):
            self._from_features = adapter.fuse(adapter.merge(features, bias)).permute(0, 2, 3, 1).contiguous()
        self._dtype = features.dtype
        # Of the empty and the full mask, (2, h, w, ...): patches, each block's output, maps.
        self._patches = self._patchify(torch.stack([features.new_zeros(4, 4), features.new_ones(4, 4)]))
        everywhere = torch.arange(self._patches[..., 0].numel(), device=features.device)
        self._blocks: list[tuple[ConvNeXtBlock, Tensor]] = []
        with as_kept(adapter.fuse) as float32:
            x = self._enter(self._patches)
            for block in adapter.blocks:
                assert isinstance(block, ConvNeXtBlock)
                x = self._through(block, x, everywhere).view_as(x)
                self._blocks.append((block, x))
            self._maps = float32(self._read_out(x))

    def within(self, reach: Sequence[int]) -> "SparseAdapter":
        """The same with another reach; what was computed of the image is used again."""
        other = copy(self)
        other._reach = tuple(reach)
        return other

    def __call__(self, masks: Tensor) -> Tensor:
        """masks: (N, H, W), 0 to 1 or bool, any resolution. Returns (N, M, h, w) raw maps."""
        if not len(masks):
            return self._maps.new_zeros(0, self._adapter.config.num_maps, *self._size)
        patches = self._patchify(masks)
        limits = _ROUNDING * self._patches.detach().abs().amax(dim=(1, 2, 3))
        equal = zip(self._patches, limits, strict=True)
        empty, full = (((patches - known).abs() <= limit).all(dim=-1) for known, limit in equal)
        full = full & ~empty
        mixed = _numbers(~(empty | full))
        with as_kept(self._adapter.fuse) as float32:
            x = self._enter(patches)
            for number, (block, known) in enumerate(self._blocks):
                reach = self._reach[min(number, len(self._reach) - 1)]
                empty, full = _surrounded(empty, reach), _surrounded(full, reach)
                mixed = _numbers(~(empty | full))
                x = _filled(known, full, mixed, self._through(block, x, mixed))
            return _filled(self._maps, full, mixed, float32(self._read_out(_rows(x, mixed)))).permute(0, 3, 1, 2)

    def estimate(self, masks: Tensor) -> Tensor:
        """Estimate the maps without computing a block, (N, H, W) -> (N, M, h, w): each location has the value of the
        full or of the empty mask, or one between the two as its patch lies between theirs."""
        patches = self._patchify(masks)
        to_empty, to_full = ((patches - known).abs().sum(dim=-1, keepdim=True) for known in self._patches)
        share = to_empty / (to_empty + to_full).clamp(min=torch.finfo(patches.dtype).tiny)
        return torch.lerp(self._maps[0], self._maps[1], share.to(self._maps.dtype)).permute(0, 3, 1, 2)

    def _patchify(self, masks: Tensor) -> Tensor:
        """(N, H, W) -> (N, h, w, MASK_DIM), before the stem's last convolution."""
        masks, size = masks.detach()[:, None].to(self._dtype), (4 * self._size[0], 4 * self._size[1])
        masks = F.interpolate(masks, size, mode="bilinear", align_corners=False)
        return self._adapter.patchify[:-1](masks).permute(0, 2, 3, 1)

    def _enter(self, patches: Tensor) -> Tensor:
        """The first block's input (N, h, w, C) from patches (N, h, w, MASK_DIM)."""
        return F.linear(patches, self._from_mask).add_(self._from_features)

    def _through(self, block: ConvNeXtBlock, x: Tensor, chosen: Tensor) -> Tensor:
        """A block's output (n, C) at locations of x (N, h, w, C), of which chosen (n,) has the numbers."""
        convolved = _rows(block.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), chosen)
        pieces = convolved.split(_ROWS.get(x.device.type, _ROWS_ELSEWHERE))
        return _rows(x, chosen) + torch.cat([self._residual(block, rows) for rows in pieces])

    def _residual(self, block: ConvNeXtBlock, rows: Tensor) -> Tensor:
        """``block.residual``, which keeps less for the backward pass: (n, C) -> (n, C)."""
        if not torch.is_grad_enabled():
            return block.residual(rows)
        if self._adapter.checkpoint_blocks:
            return block.gamma * _made_again(lambda rows: block.narrowed(block.widened(rows)), rows)
        return block.gamma * _made_again(block.narrowed, _made_again(block.widened, rows))

    def _read_out(self, x: Tensor) -> Tensor:
        final = self._adapter.final
        return F.linear(self._adapter.norm(x), final.weight.flatten(1), final.bias)


def _surrounded(inside: Tensor, reach: int) -> Tensor:
    """(N, h, w) bool: where everything is true within ``reach``; beyond the border nothing counts."""
    return F.max_pool2d((~inside)[:, None].float(), 2 * reach + 1, stride=1, padding=reach)[:, 0] == 0


def _made_again(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Compute function(rows), keeping only ``rows``: the backward pass computes all but the last step again."""
    return checkpoint(function, rows, use_reentrant=False, preserve_rng_state=False)


def _numbers(chosen: Tensor) -> Tensor:
    """Numbers (n,) of the chosen among all locations of all masks, (N, h, w) bool with n true entries."""
    return chosen.flatten().nonzero().flatten()


def _rows(x: Tensor, chosen: Tensor) -> Tensor:
    """Values (n, C) of x (N, h, w, C) at the locations that chosen (n,) numbers."""
    return x.flatten(0, 2).index_select(0, chosen)


def _filled(known: Tensor, full: Tensor, mixed: Tensor, rows: Tensor) -> Tensor:
    """Values (N, h, w, C): of the empty and the full mask, known (2, h, w, C), and rows (n, C) where mixed (n,)."""
    # Whole rows are copied: that takes half the time of choosing number by number.
    locations = known[0, ..., 0].numel()
    chosen = torch.arange(locations, device=full.device) + locations * full.flatten(1)
    x = known.flatten(0, 2).index_select(0, chosen.flatten())
    return x.index_put_((mixed,), rows).view(*full.shape, -1)
