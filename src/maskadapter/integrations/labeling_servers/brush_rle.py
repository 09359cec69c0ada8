"""Brush masks as Label Studio stores them: run lengths packed into bits."""

import numpy as np

from maskadapter.types import CompactMask

# Source: the decoder of @thi.ng/rle-pack, which Label Studio uses: 32 bits for the number of values, 5 for the bits of
# a value, less 1, four times 4 for the bits of a length, less 1. Then run after run: a bit 1, 2 bits for which of the
# four sizes its length has, the length less 1, the value. A value is one byte of a pixel in RGBA.
_SIZES = np.array([3, 4, 8, 16])
_HEADER = [*np.binary_repr(7, 5), *"".join(np.binary_repr(size - 1, 4) for size in _SIZES)]
_LONGEST = 1 << 16
_CHANNELS, _OPAQUE = 4, 255


def brush_rle(mask: CompactMask) -> list[int]:
    """Return a mask as the bytes of Label Studio's ``rle``: its pixels are 255 in all four channels, all others 0."""
    pixels = mask.mask.ravel()
    starts = np.flatnonzero(np.diff(pixels, prepend=not pixels[0]))
    lengths = np.diff(starts, append=len(pixels)) * _CHANNELS
    values = pixels[starts].astype(np.int64) * _OPAQUE
    pieces = -(-lengths // _LONGEST)
    ends = np.cumsum(pieces) - 1
    rest = lengths - (pieces - 1) * _LONGEST
    lengths = np.full(int(pieces.sum()), _LONGEST)
    lengths[ends] = rest
    codes, bits = _codes(lengths, np.repeat(values, pieces))
    places = np.arange(bits.max())[::-1]
    written = ((codes[:, None] >> places) & 1).astype(np.uint8)[places < bits[:, None]]
    header = np.array([*np.binary_repr(len(pixels) * _CHANNELS, 32), *_HEADER]).astype(np.uint8)
    packed: list[int] = np.packbits(np.concatenate([header, written])).tolist()
    return packed


def _codes(lengths: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bits of each run, as a number, and how many they are."""
    which = np.searchsorted(1 << _SIZES, lengths)
    size = _SIZES[which]
    code = (((0b100 | which) << size) | (lengths - 1)) << 8 | values
    return code, 3 + size + 8
