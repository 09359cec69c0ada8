"""Upsample mask logits to an image's own size, a tile of rows or a block of pixels at a time.

The masks are upsampled twice, bilinearly: to the padded input, whose padding is then cut off, and to the image. Any
tile of output rows can be computed alone: an image of 48 megapixels never has all its masks in memory. Equal to two
calls of ``torch.nn.functional.interpolate`` (bilinear, align_corners=False) but for rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.results.strips import Side, Strip
from maskadapter.types import ImageSizes

_BLOCK = 64  # pixels of a side
_IN_CACHE, _ON_GPU = 2**21, 2**25  # numbers in a tile


@dataclass(frozen=True)
class _Rows:
    """Weights of a resampling of rows: each output row is ``(1 - weight) * input[low] + weight * input[high]``."""

    low: Tensor
    high: Tensor
    weight: Tensor

    @classmethod
    def between(cls, in_length: int, out_length: int, device: torch.device) -> "_Rows":
        # On the CPU: float64, which Apple's MPS lacks, keeps the weights exact for long sides.
        center = torch.arange(out_length, dtype=torch.float64, device="cpu") + 0.5
        center = (center * in_length / out_length - 0.5).clamp(min=0)
        low = center.floor().long().clamp(max=in_length - 1)
        high = (low + 1).clamp(max=in_length - 1)
        return cls(low.to(device), high.to(device), (center - low).to(device, torch.float32))

    def needed(self, rows: slice) -> slice:
        """The input rows that the output ``rows`` are made from."""
        return slice(int(self.low[rows][0]), int(self.high[rows][-1]) + 1)

    def apply(self, x: Tensor, rows: slice) -> Tensor:
        """(C, needed(rows), w) -> (C, rows, w)."""
        start = self.needed(rows).start
        low, high = x.index_select(-2, self.low[rows] - start), x.index_select(-2, self.high[rows] - start)
        return torch.lerp(low, high, self.weight[rows].to(x.dtype)[:, None])

    def weights(self, rows: slice) -> Tensor:
        """What each of the needed input rows counts in each of the output ``rows``: (rows, needed)."""
        needed = self.needed(rows)
        single = torch.eye(needed.stop - needed.start, dtype=self.weight.dtype, device=self.weight.device)
        return self.apply(single[None], rows)[0]


def _resize_columns(x: Tensor, width: int) -> Tensor:
    if not len(x):  # interpolate refuses to resize nothing
        return x.new_zeros(*x.shape[:-1], width)
    return F.interpolate(x[None], (x.shape[-2], width), mode="bilinear", align_corners=False)[0]


class Upsampler:
    """Mask logits (N, h, w), of any type of numbers, at the image's size, a tile of rows at a time."""

    def __init__(self, mask_logits: Tensor, sizes: ImageSizes) -> None:
        self.mask_logits = mask_logits
        self.sizes = sizes
        self._first = _Rows.between(mask_logits.shape[-2], sizes.padded[0], mask_logits.device)
        self._second = _Rows.between(sizes.resized[0], sizes.original[0], mask_logits.device)

    def only(self, proposals: Tensor) -> "Upsampler":
        """The same for some of the proposals, (n,)."""
        return Upsampler(self.mask_logits[proposals], self.sizes)

    def tiles(self, channels: int = 1, values: int | None = None) -> Iterator[slice]:
        """Row ranges of the image from top to bottom, with about ``values`` numbers in all masks, or in ``channels``
        maps where these are more: without it few enough for a processor's cache, or enough to keep a GPU busy."""
        height, width = self.sizes.original
        values = values or (_IN_CACHE if self.mask_logits.device.type == "cpu" else _ON_GPU)
        step = max(1, values // (width * max(1, channels, len(self.mask_logits))))
        return (slice(start, min(start + step, height)) for start in range(0, height, step))

    def strips(self) -> Iterator[Strip]:
        """The image from top to bottom, in strips of blocks. In most blocks no mask changes."""
        across = list(self._sides(1))
        return (Strip(self.mask_logits[:, down.locations], down, across) for down in self._sides(0))

    def _sides(self, axis: int) -> Iterator[Side]:
        device, length, sizes = self.mask_logits.device, self.mask_logits.shape[axis - 2], self.sizes
        first = _Rows.between(length, sizes.padded[axis], device)
        second = _Rows.between(sizes.resized[axis], sizes.original[axis], device)
        for start in range(0, sizes.original[axis], _BLOCK):
            pixels = slice(start, min(start + _BLOCK, sizes.original[axis]))
            places = second.needed(pixels)
            one, other = first.weights(places), second.weights(pixels)
            yield Side(pixels, first.needed(places), one, other, other @ one)

    def network_rows(self, rows: slice) -> slice:
        """The rows of the resized image that the image's ``rows`` are made from."""
        return rows if self.sizes.resized == self.sizes.original else self._second.needed(rows)

    def at_network_size(self, rows: slice) -> Tensor:
        """(N, rows, resized width): logits at the size of the network's input, its padding cut off."""
        return self._widened(self._first.apply(self._locations(self._first.needed(rows)), rows))

    def to_original(self, x: Tensor, rows: slice) -> Tensor:
        """(C, network_rows(rows), resized width) -> (C, rows, image width)."""
        same = self.sizes.resized == self.sizes.original
        return x if same else _resize_columns(self._second.apply(x, rows), self.sizes.original[1])

    def may_be_inside(self, rows: slice) -> bool:
        """Whether a logit of a tile of the image can be above 0: each is a mean of those that it is made from."""
        return bool((self.mask_logits[:, self._first.needed(self.network_rows(rows))] > 0).any())

    def logits(self, rows: slice) -> Tensor:
        """(N, rows, image width): mask logits of a tile of the image."""
        if self.sizes.resized == self.sizes.original:
            return self.at_network_size(rows)
        # Both steps of the rows come first: the columns are still few.
        needed = self._second.needed(rows)
        x = self._first.apply(self._locations(self._first.needed(needed)), needed)
        return _resize_columns(self._widened(self._second.apply(x, rows)), self.sizes.original[1])

    def _locations(self, rows: slice) -> Tensor:
        logits = self.mask_logits[:, rows]
        return logits if logits.is_floating_point() else logits.float()

    def _widened(self, x: Tensor) -> Tensor:
        return _resize_columns(x, self.sizes.padded[1])[..., : self.sizes.resized[1]]
