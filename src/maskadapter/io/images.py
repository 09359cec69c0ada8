"""Reading images from files, arrays and tensors as (H, W, 3) uint8 RGB."""

import logging
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
from PIL import Image, ImageFile

from maskadapter.errors import ImageError, MaskError
from maskadapter.io.open_image import MAX_PIXELS, open_image, open_stream
from maskadapter.io.wide_pixels import to_8_bits
from maskadapter.system.error_text import first_line
from maskadapter.system.ignored_warnings import ignored_warnings
from maskadapter.system.paths import user_path

if TYPE_CHECKING:
    from torch import Tensor

# Source: EXIF 2.3, tag Orientation: the transpose that makes the stored image upright; 1 and unknown values need none.
ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_CONVERTED_AT_A_TIME = 1 << 22  # pixels, about
_log = logging.getLogger(__name__)


def read_image(
    source: "str | Path | IO[bytes] | Image.Image | np.ndarray | Tensor", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 RGB that shares no memory with ``source``, upright by its EXIF orientation.

    source: a path; an open binary file or BytesIO; a PIL image; a uint8 array (H, W), (H, W, 3) or (H, W, 4); a uint8
        tensor (3, H, W). Transparent pixels are blended with white. More than 8 bits are scaled to 8, by the range that
        the file states or the least of 8, 10, 12, 14 and 16 bits that holds all values. Of several frames or pages the
        first is read. A PIL image as ``Image.open`` returned it is set upright, its copies are taken as they are.
    max_pixels: a file with more pixels is refused before it is decoded.
    Raises ImageError: no such file, not an image, truncated, closed, too large, another shape or type.
    """
    if isinstance(source, str | Path):
        path = user_path(source, ImageError)
        return _decode(open_image(path, max_pixels, ImageError), str(path))
    if isinstance(source, Image.Image):
        return _from_pil(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        shown = name if isinstance(name, str) else f"the given {type(source).__name__}"
        return read_stream(cast("IO[bytes]", source), shown, max_pixels)
    if hasattr(source, "permute"):
        if source.ndim != 3 or source.shape[0] != 3:
            raise ImageError(f"shape {tuple(source.shape)} is not an image tensor; (3, H, W) uint8 is needed")
        try:
            array = source.detach().cpu().permute(1, 2, 0).numpy()
        except Exception as error:  # sparse, quantized, without data
            raise ImageError(f"the tensor cannot be read: {first_line(error)}") from None
        return _from_array(array)
    known = "a path, open binary file, PIL image, uint8 array or uint8 tensor"
    raise ImageError(f"an image is {known}, not {type(source).__name__}")


def read_stream(file: IO[bytes], name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image from an open binary file, as ``read_image`` does. name: of the file, for messages."""
    return _decode(open_stream(file, name, max_pixels, ImageError), name)


def _decode(opened: Image.Image, name: str) -> np.ndarray:
    with opened as image:
        try:
            return _upright_rgb(image, name)
        except ImageError:
            raise
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and others
            raise ImageError(f"damaged image {name}: {first_line(error)}") from None


def _from_pil(image: Image.Image) -> np.ndarray:
    path = getattr(image, "filename", "")
    name = f"the given PIL image of {path}" if path else "the given PIL image"
    try:
        return _upright_rgb(image, name)
    except ImageError:
        raise
    except Exception as error:
        # Pillow says so after close(); after a with block it only fails, because the file is gone.
        if "closed" in str(error) or getattr(image, "fp", image) is None:
            raise ImageError(f"{name} is closed: use it before it is closed, or give its path") from None
        raise ImageError(f"damaged image, {name}: {first_line(error)}") from None


def _upright_rgb(image: Image.Image, name: str) -> np.ndarray:
    solid = to_8_bits(image, name)
    if image.mode == "F":
        raise ImageError(f"{name}: floating-point pixels have no agreed range; save the image with 8 or 16 bits")
    if solid.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in solid.info:
        # Pillow converts premultiplied gray to nothing but gray with alpha.
        solid = (solid.convert("LA") if solid.mode == "La" else solid).convert("RGBA")
        solid = Image.alpha_composite(Image.new("RGBA", solid.size, "white"), solid)
    turn = _turn(image, name)
    if turn is not None:
        solid = solid.transpose(turn)
    if 0 in solid.size:
        raise ImageError(f"{name} has {image.width} x {image.height} pixels: it is empty")
    pixels = np.empty((solid.height, solid.width, 3), np.uint8)
    step = max(1, _CONVERTED_AT_A_TIME // solid.width)
    for top in range(0, solid.height, step):  # Pillow needs 10 bytes a pixel for a while
        part = solid.crop((0, top, solid.width, min(top + step, solid.height)))
        pixels[top : top + step] = np.asarray(part.convert("RGB"))
    return pixels


def _turn(image: Image.Image, name: str) -> Image.Transpose | None:
    """Return what makes a loaded image upright: nothing for copies, which may be upright and still have the tag."""
    try:
        with ignored_warnings():
            orientation = image.getexif().get(ORIENTATION, 1)
            turn = _UPRIGHT.get(orientation)
    except Exception:  # a broken EXIF block says nothing about the image itself
        return None
    if turn is None or isinstance(image, ImageFile.ImageFile):
        return turn
    advice = "if it is not upright, give its path or ImageOps.exif_transpose of it"
    _log.warning("%s has EXIF orientation %s and is taken as it is: %s", name, orientation, advice)
    return None


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(f"an image of {array.dtype} values has no agreed range; uint8 from 0 to 255 is needed")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ImageError(f"an array of shape {array.shape} is not an image; (H, W), (H, W, 3) or (H, W, 4) is needed")
    if array.ndim == 2 or array.shape[2] == 4:
        return _from_pil(Image.fromarray(array))
    return np.array(array, order="C")


def read_stored(path: Path) -> np.ndarray:
    """Read the pixels of an image file as they are stored, (H, W) or (H, W, 3) uint8, not set upright.

    Raises ImageError: no such file, not an image, damaged, of other channels.
    """
    with open_image(path, MAX_PIXELS, ImageError) as image:
        try:
            pixels = np.asarray(image)
        except Exception as error:
            raise ImageError(f"damaged image {path}: {first_line(error)}") from None
    if image.mode not in ("L", "RGB"):
        raise ImageError(f"{path} is of mode {image.mode}: gray or RGB with 8 bits is needed")
    return pixels


def read_labels(source: str | Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the values of a label map, (H, W), or of an RGB one, (H, W, 3); palette images give their indices.

    source: a path, or an open binary file. max_pixels: an image with more is refused before it is decoded. Raises
    MaskError: no such file, not an image, damaged, of floating-point values, or in a format that changes them.
    """
    if isinstance(source, str | Path):
        name = str(path := user_path(source, MaskError))
        opened = open_image(path, max_pixels, MaskError)
    else:
        name = "the given label map"
        opened = open_stream(source, name, max_pixels, MaskError)
    with opened as image:
        try:
            labels = np.asarray(image)
        except Exception as error:
            raise MaskError(f"damaged label map {name}: {first_line(error)}") from None
    if labels.dtype.kind == "f" or (labels.ndim != 2 and labels.shape[2:] != (3,)):
        raise MaskError(f"{name} is not a label map: one channel of whole numbers or RGB is needed, not {image.mode}")
    # Lossy formats move values by some steps: a mask of two values far apart is as it was, a label map is not.
    lossy = image.format in ("JPEG", "MPO", "WEBP", "AVIF")
    if lossy and (len(values := np.unique(labels)) > 2 or 0 < int(values[-1]) - int(values[0]) < 128):
        advice = "save the labels, or of a mask mask > 127, as PNG"
        raise MaskError(f"{name} is of the format {image.format}, which changes the values of labels: {advice}")
    return labels
