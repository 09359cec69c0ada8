"""Pixels of 9 to 16 bits, brought to 8 by the range that their file states or, if it states none, by their own."""

import logging
import struct
import sys
from contextlib import suppress
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

from maskadapter.errors import ImageError
from maskadapter.io.open_image import open_again

# Source: TIFF 6.0, tags BitsPerSample; PhotometricInterpretation, where 0 means that white is zero; MaxSampleValue
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE = 258, 262, 281
_PLANAR_CONFIGURATION = 284  # 2: one channel after the other
_BITS = (8, 10, 12, 14, 16)  # of cameras, scanners and microscopes
# Of 16-bit color Pillow keeps the high bytes. Its code of the other byte order yields the low ones.
_NATIVE, _OTHER = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_LOW_BYTES = {"L": "B", "B": "L", "N": _OTHER}

_log = logging.getLogger(__name__)


def to_8_bits(image: Image.Image, name: str) -> Image.Image:
    """Load an image; where it has 9 to 16 bits a channel, return it with 8, else itself.

    name: of the image, for messages. The range is the one that a TIFF (MaxSampleValue) or PNG (sBIT) states, or the
    least of 8, 10, 12, 14 and 16 bits that holds all values; any but 16 bits is logged. "White is zero" is inverted.
    Raises ImageError for values below 0 or above 65,535.
    """
    stated, low = _stated_maximum(image), _low_bytes(image)
    if _codec(image) == "raw" and _tag(image, _PLANAR_CONFIGURATION) == 2 and (_tag(image, _BITS_PER_SAMPLE) or 8) > 8:
        # Pillow takes the bytes of the first channel for two channels, without an error.
        raise ImageError(f"{name} holds one channel after the other with 16 bits: save it with 8, or compressed")
    image.load()
    if image.mode.startswith("I"):
        gray = np.asarray(image).astype(np.int32)
        highest = _highest(gray, stated, name)
        if _tag(image, _PHOTOMETRIC) == 0:
            gray = highest - gray
        return Image.fromarray(_scaled(gray, highest))
    if low is None or np.asarray(image)[..., :3].max() >= 64:  # 16 bits are in use: the high bytes are enough
        return image
    low.load()
    wide = np.asarray(image).astype(np.int32) << 8 | np.asarray(low)
    highest = _highest(wide[..., :3], stated, name)
    opaque = highest if wide[..., 3:].max(initial=0) <= highest else 65535
    return Image.fromarray(np.dstack([_scaled(wide[..., :3], highest), _scaled(wide[..., 3:], opaque)]))


def _scaled(values: np.ndarray, highest: int) -> np.ndarray:
    return ((values * 255 + highest // 2) // highest).astype(np.uint8)


def _highest(values: np.ndarray, stated: int | None, name: str) -> int:
    """Return the value that means full brightness."""
    least, most = int(values.min()), int(values.max())
    if least < 0 or most > 65535:
        found = f"{name} has whole numbers from {least:,} to {most:,}, which have no agreed range"
        raise ImageError(f"{found}; save the image with 8 or 16 bits, from 0 to 255 or 65,535")
    if stated and most <= stated:
        highest, reason = stated, "as its file states"
    else:
        bits = next(bits for bits in _BITS if most < 1 << bits)
        highest, reason = (1 << bits) - 1, f"{bits} bits, because no value is above {most:,}"
    if highest < 65535 and most:
        _log.warning("%s: 16-bit values are read from 0 to %s, %s", name, f"{highest:,}", reason)
    return highest


def _tag(image: Image.Image, number: int) -> int | None:
    """Return a TIFF tag, the largest of several values."""
    value = getattr(image, "tag_v2", {}).get(number)
    return None if value is None else int(np.max(value))


def _stated_maximum(image: Image.Image) -> int | None:
    """Return the largest value that a file says its pixels can have; to be asked before they are loaded."""
    if _codec(image) == "ppm":  # Pillow scales a PGM by the maximum that it states
        return 65535
    bits = _tag(image, _BITS_PER_SAMPLE) or 16
    if image.format == "PNG" and image.mode.startswith("I"):
        bits = _significant_bits(getattr(image, "fp", None))
    return _tag(image, _MAX_SAMPLE_VALUE) or ((1 << bits) - 1 if bits < 16 else None)


def _significant_bits(file: IO[bytes] | None) -> int:
    """Return the largest number in a PNG's chunk sBIT, which Pillow does not read. Source: PNG, 11.3.2.3."""
    bits = 16
    if file is not None:
        position = file.tell()
        file.seek(8)
        with suppress(struct.error):  # the file is cut
            while (chunk := struct.unpack(">I4s", file.read(8)))[1] != b"IDAT":
                content = file.read(chunk[0] + 4)
                if chunk[1] == b"sBIT":
                    bits = max(content[:-4], default=bits)  # the last four are its checksum
        file.seek(position)
    return bits


def _low_bytes(image: Image.Image) -> Image.Image | None:
    """Open a file of 16-bit color, not yet loaded, once more, to decode the low bytes of its values."""
    code = next((_code(tile[3]) for tile in getattr(image, "tile", [])), "")
    if code[:-1] not in ("RGB;16", "RGBA;16", "RGBX;16"):
        return None
    again = open_again(image)
    if isinstance(again, ImageFile.ImageFile):
        other = code[:-1] + _LOW_BYTES[code[-1]]
        for index, (*place, args) in enumerate(again.tile):
            make: Any = getattr(again.tile[index], "_make", tuple)  # a plain tuple before Pillow 11
            again.tile[index] = make((*place, (other, *args[1:]) if isinstance(args, tuple) else other))
    return again


def _codec(image: Image.Image) -> str:
    """Return Pillow's name of how a file that is not yet loaded is compressed."""
    return next((tile[0] for tile in getattr(image, "tile", [])), "")


def _code(args: Any) -> str:
    """Return Pillow's name of how pixels are packed in a tile of a file."""
    return str(args[0] if isinstance(args, tuple) and args else args)
