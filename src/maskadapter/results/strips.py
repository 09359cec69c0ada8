"""A strip of an image, cut into blocks: bounds of every mask in each block, and the masks in one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Side:
    """One side of a block: its pixels, the mask locations that these are made from, and the weights of the two
    upsamplings, (network locations, locations) and (pixels, network locations), and of both, (pixels, locations)."""

    pixels: slice
    locations: slice
    first: Tensor
    second: Tensor
    both: Tensor


@dataclass(frozen=True)
class Strip:
    """A strip of C blocks, and how high and low each mask is anywhere in each of them.

    mask_logits: (N, locations, w), of any type of numbers. down and across: the sides of the blocks."""

    mask_logits: Tensor
    down: Side
    across: Sequence[Side]

    @property
    def rows(self) -> slice:
        """Its rows of the image."""
        return self.down.pixels

    def columns(self, block: int) -> slice:
        """The columns of the image that a block has."""
        return self.across[block].pixels

    def bounds(self) -> tuple[Tensor, Tensor]:
        """The highest and the lowest mask logit in each block, (N, C) float each."""
        high, low = self.mask_logits.amax(dim=1), self.mask_logits.amin(dim=1)
        high, low = high.to(self.down.both.dtype), low.to(self.down.both.dtype)
        highest = torch.stack([high[:, side.locations].amax(dim=1) for side in self.across], dim=1)
        return highest, torch.stack([low[:, side.locations].amin(dim=1) for side in self.across], dim=1)

    def logits(self, block: int, chosen: Tensor) -> Tensor:
        """Logits of the chosen masks, (n,), in a block: (n, rows, columns)."""
        side = self.across[block]
        return _apply(self.down.both, self.mask_logits[chosen][..., side.locations], side.both)

    def probs(self, block: int, chosen: Tensor) -> Tensor:
        """The same after the sigmoid at the network's size."""
        side = self.across[block]
        small = _apply(self.down.first, self.mask_logits[chosen][..., side.locations], side.first)
        return _apply(self.down.second, small.sigmoid(), side.second)

    def fill(self, values: Tensor) -> Tensor:
        """One value for each block, (C,), at all of its pixels: (1, image width)."""
        return values.repeat_interleave(self._widths().to(values.device))[None]

    def areas(self) -> Tensor:
        """Number of pixels of each block, (C,)."""
        return self._widths() * (self.rows.stop - self.rows.start)

    def _widths(self) -> Tensor:
        return torch.tensor([side.pixels.stop - side.pixels.start for side in self.across], device="cpu")


def _apply(rows: Tensor, x: Tensor, columns: Tensor) -> Tensor:
    return rows @ x.to(rows.dtype) @ columns.T
