"""Opening image files: regular files, pipes, open files and bytes in memory, of the formats that are read."""

import os
import stat
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, Any

from PIL import Image, UnidentifiedImageError

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.system.error_text import first_line
from maskadapter.system.text_files import read_bytes

# Pillow also knows formats that start other programs (EPS runs Ghostscript): untrusted files must not reach those.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000", "MPO")

MAX_PIXELS = 200_000_000  # of an image that is decoded: they take 600 MB. A small file can claim to be far larger

MAX_BYTES = 3 * MAX_PIXELS + 1_000_000  # of a stream, which is read into memory: the largest image, uncompressed

# fmt: off
UNREAD = (
    ".heic", ".heif", ".hif", ".jxl", ".svg", ".psd", ".xcf", ".exr", ".hdr", ".tga", ".eps", ".ico", ".dcm",
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw",
)
# fmt: on
"""Suffixes of image files that are not read."""

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # Source: ISO/IEC 23008-12
_opening = Lock()


def open_image(path: Path, max_pixels: int, refusal: type[MaskAdapterError]) -> Image.Image:
    """Open an image file without decoding its pixels; a pipe or device is read into memory first.

    Raises ``refusal``: no such file, not an image, damaged, more than ``max_pixels`` pixels.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # reported by Image.open
        mode = 0
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        content = read_bytes(path, MAX_BYTES, refusal, "image")
        return _open(BytesIO(content), str(path), max_pixels, refusal)
    return _open(path, str(path), max_pixels, refusal)


def open_stream(file: IO[Any], name: str, max_pixels: int, refusal: type[MaskAdapterError]) -> Image.Image:
    """Open the image in a binary file, from its beginning where it can go back, whose position stays. Raises as
    ``open_image``, and for a text file, a closed one, and one of more than ``MAX_BYTES``."""
    try:
        position = file.tell() if file.seekable() else None
        if position is not None:
            file.seek(0)
        content = file.read(MAX_BYTES + 1)
        if position is not None:
            file.seek(position)
    except UnicodeDecodeError:
        content = ""
    except Exception as error:  # streams of other libraries raise their own kinds
        raise refusal(f"cannot read {name}: {first_line(error)}") from None
    if not isinstance(content, bytes):
        raise refusal(f'{name} is not a binary file: open it with mode "rb"')
    if not content:
        raise refusal(f"{name} is empty: the bytes of an image are needed")
    if len(content) > MAX_BYTES:
        raise refusal(f"{name} has more than {MAX_BYTES:,} bytes: give the path of the image file instead")
    return _open(BytesIO(content), name, max_pixels, refusal)


def _open(file: Path | BytesIO, name: str, max_pixels: int, refusal: type[MaskAdapterError]) -> Image.Image:
    try:
        # Pillow's own limit is global, smaller, and at first only a warning; max_pixels is checked below instead.
        with _opening:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                Image.init()
                image = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except FileNotFoundError:
        raise refusal(f"no such file: {name}") from None
    except UnidentifiedImageError:
        raise refusal(f"not an image that can be read: {name}{_advice(file, name)}") from None
    except OSError as error:
        raise refusal(f"cannot read {name}: {error.strerror or first_line(error)}") from None
    except Exception as error:
        raise refusal(f"damaged image {name}: {first_line(error)}") from None
    if image.width * image.height > max_pixels:
        image.close()
        raise refusal(f"{name} has {image.width} x {image.height} pixels, more than max_pixels = {max_pixels:,}")
    return image


def open_again(image: Image.Image) -> Image.Image | None:
    """Open the file of an image once more, before that is loaded; None where it is not known."""
    file = getattr(image, "fp", None)
    source = BytesIO(file.getvalue()) if isinstance(file, BytesIO) else Path(getattr(image, "filename", ""))
    if isinstance(source, Path) and not source.is_file():
        return None
    again = _open(source, str(source), image.width * image.height, ImageError)
    again.seek(image.tell())
    return again


def _advice(file: Path | BytesIO, name: str) -> str:
    """Return the end of a message about a file of a format that is not read, whatever its suffix; else nothing."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            start = opened.read(12)
    else:
        start = file.getvalue()[:12]
    suffix = os.path.splitext(name)[1].lower()
    if start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS:
        suffix = ".heic"
    return f" ({not_read([suffix])})" if suffix in UNREAD else ""


def not_read(suffixes: list[str]) -> str:
    """Return that formats, given by their suffixes, are not read, and what to do."""
    kinds = sorted({suffix.removeprefix(".").upper() for suffix in suffixes})
    return f"{', '.join(kinds)} {'is' if len(kinds) == 1 else 'are'} not read: convert to JPEG or PNG first"
