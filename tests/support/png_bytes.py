"""PNG files that Pillow does not write: of a size that they only claim, and of 16-bit color."""

import struct
import zlib

import numpy as np


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width, height):
    """An 8-bit RGB PNG with far too few pixels."""
    return _png(width, height, 8, 2, b"\0" * 100)


def wide_png(values, significant_bits=None):
    """A 16-bit PNG of gray (H, W), gray and alpha (H, W, 2), RGB (H, W, 3) or RGBA (H, W, 4), and its chunk sBIT."""
    values = np.atleast_3d(values)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    channels = values.shape[2]
    stated = chunk(b"sBIT", bytes([significant_bits] * channels)) if significant_bits else b""
    return _png(values.shape[1], values.shape[0], 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows, stated)


def _png(width, height, bits, color, pixels, before=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
