"""Bilinear resizing of mask logits to a picture's own size, a band of rows at a time.

The networks' masks are enlarged twice: to the padded input, whose padding is then cut off, and to the picture. Both
steps are linear in every axis, so any band of output rows can be computed alone: a picture of 48 megapixels never has
all its masks in memory. Equal to two calls of ``torch.nn.functional.interpolate`` (bilinear, align_corners=False) but
for rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """The sizes of one picture on its way through the networks, each (height, width).

    padded: the network's input. resized: the part of it that holds the picture (top left). picture: the picture itself,
    the size of every result.
    """

    padded: Size
    resized: Size
    picture: Size


@dataclass(frozen=True)
class _Taps:
    """Each output place is ``(1 - weight) * input[low] + weight * input[high]``."""

    low: Tensor
    high: Tensor
    weight: Tensor

    @classmethod
    def between(cls, in_length: int, out_length: int, device: torch.device) -> "_Taps":
        # On the CPU: float64, which Apple's MPS lacks, keeps the weights exact for long sides.
        centre = (torch.arange(out_length, dtype=torch.float64) + 0.5) * in_length / out_length - 0.5
        centre = centre.clamp(min=0)
        low = centre.floor().long().clamp(max=in_length - 1)
        high = (low + 1).clamp(max=in_length - 1)
        return cls(low.to(device), high.to(device), (centre - low).float().to(device))

    def rows(self, rows: slice) -> "_Taps":
        return _Taps(self.low[rows], self.high[rows], self.weight[rows])

    def needed(self) -> slice:
        return slice(int(self.low[0]), int(self.high[-1]) + 1)

    def apply(self, x: Tensor, dim: int, start: int = 0) -> Tensor:
        """Resample along ``dim``; ``x`` begins at input place ``start``."""
        shape = [1] * x.ndim
        shape[dim] = -1
        weight = self.weight.to(x.dtype).view(shape)
        return torch.lerp(x.index_select(dim, self.low - start), x.index_select(dim, self.high - start), weight)


class Enlarger:
    """Bands of rows of mask logits at the picture's size.

    mask_logits: (N, h, w). frame: see ``Frame``.
    """

    def __init__(self, mask_logits: Tensor, frame: Frame) -> None:
        self.mask_logits = mask_logits
        self.frame = frame
        device = mask_logits.device
        (height, width), (pad_height, pad_width) = mask_logits.shape[-2:], frame.padded
        self._first = _Taps.between(height, pad_height, device), _Taps.between(width, pad_width, device)
        self._second = tuple(_Taps.between(frame.resized[i], frame.picture[i], device) for i in (0, 1))

    def bands(self, channels: int = 1, values: int = 1 << 25) -> Iterator[slice]:
        """Row ranges of the picture, from top to bottom: each has about ``values`` numbers in all masks, or in
        ``channels`` maps where these are more."""
        height, width = self.frame.picture
        step = max(1, values // (width * max(1, channels, len(self.mask_logits))))
        for start in range(0, height, step):
            yield slice(start, min(start + step, height))

    def network_rows(self, rows: slice) -> slice:
        """The rows of the resized picture that the picture's ``rows`` are made from."""
        return rows if self.frame.resized == self.frame.picture else self._second[0].rows(rows).needed()

    def at_network_size(self, rows: slice) -> Tensor:
        """(N, rows, resized width): logits at the size of the network's input, its padding cut off."""
        vertical = self._first[0].rows(rows)
        band = vertical.needed()
        x = vertical.apply(self.mask_logits[:, band], dim=-2, start=band.start)
        return self._first[1].rows(slice(0, self.frame.resized[1])).apply(x, dim=-1)

    def to_picture(self, x: Tensor, rows: slice) -> Tensor:
        """(C, network_rows(rows), resized width) -> (C, rows, picture width)."""
        if self.frame.resized == self.frame.picture:
            return x
        vertical = self._second[0].rows(rows)
        return self._second[1].apply(vertical.apply(x, dim=-2, start=vertical.needed().start), dim=-1)

    def logits(self, rows: slice) -> Tensor:
        """(N, rows, picture width): mask logits of a band of the picture."""
        return self.to_picture(self.at_network_size(self.network_rows(rows)), rows)
