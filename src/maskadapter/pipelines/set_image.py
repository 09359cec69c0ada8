"""The images of a training set: copied where every reader sees the same pixels in them, and else written anew."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from maskadapter.errors import ImageError
from maskadapter.io import ORIENTATION
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.ignored_warnings import ignored_warnings

_LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")


def write_set_image(
    folder: Path, stem: str, file: Path | bytes | None, suffix: str, pixels: Callable[[], np.ndarray]
) -> Path:
    """Write an image into ``folder`` under ``stem``, and return its path: an upright 8-bit RGB JPEG or PNG is copied,
    of any other the pixels are written, so that pixels and labels agree.

    file: the image's file or its bytes; None where there is none. suffix: of its name, for one that is written anew.
    pixels: returns (H, W, 3) uint8 RGB, upright. Raises ImageError where the file cannot be read, and MaskAdapterError.
    """
    plain, content = None if file is None else _plain(file), b""
    if plain:
        try:
            content = file.read_bytes() if isinstance(file, Path) else file or b""
        except OSError as error:
            raise ImageError(f"cannot read {file!s}: {error.strerror}") from None
    path = folder / (stem + (plain or (".jpg" if suffix.lower() in _LOSSY else ".png")))
    with write_atomically(path) as temporary:
        if plain:
            temporary.write_bytes(content)
        else:
            Image.fromarray(pixels()).save(temporary, quality=95, subsampling=0)
    return path


def _plain(file: Path | bytes) -> str | None:
    """``".jpg"`` or ``".png"`` for such a file, upright, 8-bit RGB, nothing transparent; None for others."""
    source = file if isinstance(file, Path) else BytesIO(file)
    try:
        with ignored_warnings(), Image.open(source, formats=("JPEG", "PNG")) as image:
            eight_bits = ";16" not in str(image.tile)  # getexif loads a PNG, which empties its tiles
            upright = image.getexif().get(ORIENTATION, 1) == 1
            plain = image.mode == "RGB" and eight_bits and upright and "transparency" not in image.info
            return {"JPEG": ".jpg", "PNG": ".png"}.get(image.format or "") if plain else None
    except Exception:  # neither of the two, or its EXIF block is broken; the pixels were read before
        return None
