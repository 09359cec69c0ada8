"""One mask of an image in little memory."""

from dataclasses import dataclass, field

import numpy as np

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True, eq=False)
class CompactMask:
    """A mask as run lengths inside its box: some kilobytes where the array (H, W) has megabytes.

    size: (H, W) of the image. box: (left, top, right, bottom) in pixels, right and bottom exclusive; four zeros for an
    empty mask. area: pixels. edges: int32, the places at which runs begin and end, by turns, counted row by row inside
    the box."""

    size: Size
    box: tuple[int, int, int, int]
    area: int
    edges: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, mask: np.ndarray) -> "CompactMask":
        """From a mask (H, W) bool, whose memory is not kept."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return cls((mask.shape[0], mask.shape[1]), (0, 0, 0, 0), 0, np.zeros(0, np.int32))
        inside = np.s_[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
        return cls.in_box(mask[inside], inside, (mask.shape[0], mask.shape[1]))

    @classmethod
    def in_box(cls, crop: np.ndarray, inside: tuple[slice, slice], size: Size) -> "CompactMask":
        """From what lies in the mask's box ``inside``, rows and columns, of an image of ``size``."""
        flat = crop.ravel()
        edges = np.flatnonzero(np.diff(flat, prepend=False, append=False)).astype(np.int32)
        rows, columns = inside
        return cls(size, (columns.start, rows.start, columns.stop, rows.stop), int(flat.sum()), edges)

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and columns of the box."""
        left, top, right, bottom = self.box
        return slice(top, bottom), slice(left, right)

    @property
    def crop(self) -> np.ndarray:
        """The mask inside its box, (h, w) bool."""
        left, top, right, bottom = self.box
        area = (bottom - top) * (right - left)
        runs = np.diff(self.edges, prepend=0, append=area)
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(bottom - top, right - left)

    @property
    def mask(self) -> np.ndarray:
        """The mask, (H, W) bool, made anew."""
        mask = np.zeros(self.size, bool)
        mask[self.inside] = self.crop
        return mask
