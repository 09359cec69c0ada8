"""Reading images from files, arrays and tensors as (H, W, 3) uint8 RGB."""

import warnings
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from maskadapter.errors import ImageError, MaskAdapterError, MaskError

if TYPE_CHECKING:
    from torch import Tensor

# Pillow also knows formats that start other programs (EPS runs Ghostscript): untrusted files must not reach those.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000", "MPO")

MAX_PIXELS = 200_000_000  # of an image that is decoded: they take 600 MB. A small file can claim to be far larger

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

_opening = Lock()


def read_image(source: "str | Path | Image.Image | np.ndarray | Tensor", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 RGB, upright by its EXIF orientation.

    source: a path; a PIL image; a uint8 array (H, W), (H, W, 3) or (H, W, 4); a uint8 tensor (3, H, W). Transparent
        pixels are blended with white, 16-bit gray is scaled to 8 bits. max_pixels: a file with more pixels is refused
        before it is decoded.
    Raises ImageError: no such file, not an image, truncated, too large, another shape or type.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        with _open(path, max_pixels, ImageError) as image:
            try:
                return _from_pil(image)
            except ImageError as error:
                raise ImageError(f"{path}: {error}") from None
            except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and others
                raise ImageError(f"damaged image {path}: {error}") from None
    if isinstance(source, Image.Image):
        try:
            return _from_pil(source)
        except OSError as error:
            raise ImageError(f"damaged image: {error}") from None
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if hasattr(source, "detach"):
        if source.ndim != 3 or source.shape[0] != 3:
            raise ImageError(f"shape {tuple(source.shape)} is not an image tensor; (3, H, W) uint8 is needed")
        return _from_array(source.detach().cpu().permute(1, 2, 0).numpy())
    raise ImageError(f"an image is a path, PIL image, uint8 array or uint8 tensor, not {type(source).__name__}")


def _from_pil(image: Image.Image) -> np.ndarray:
    image.load()
    try:
        with warnings.catch_warnings(action="ignore"):
            turn = _UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a broken EXIF block says nothing about the image itself
        turn = None
    if image.mode == "F":
        raise ImageError("floating-point pixels have no agreed range; save the image with 8 or 16 bits")
    if image.mode.startswith("I"):  # Pillow clips 16-bit gray at 255 when it converts; white, 65,535, has to become 255
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        solid = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", solid.size, "white"), solid)
    if turn is not None:
        image = image.transpose(turn)
    return _from_array(np.asarray(image.convert("RGB")))


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(f"an image of {array.dtype} values has no agreed range; uint8 from 0 to 255 is needed")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ImageError(f"an array of shape {array.shape} is not an image; (H, W), (H, W, 3) or (H, W, 4) is needed")
    if array.ndim == 2 or array.shape[2] == 4:
        return _from_pil(Image.fromarray(array))
    return np.ascontiguousarray(array)


def _open(path: Path, max_pixels: int, refusal: type[MaskAdapterError]) -> Image.Image:
    """Open an image file: reads its header, does not decode its pixels."""
    try:
        # Pillow's own limit is global, smaller, and at first only a warning; max_pixels is checked below instead.
        with _opening:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                Image.init()
                image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except FileNotFoundError:
        raise refusal(f"no such file: {path}") from None
    except UnidentifiedImageError:
        raise refusal(f"not an image that can be read: {path}") from None
    except OSError as error:
        raise refusal(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:
        raise refusal(f"damaged image {path}: {error}") from None
    if image.width * image.height > max_pixels:
        image.close()
        raise refusal(f"{path} has {image.width} x {image.height} pixels, more than max_pixels = {max_pixels:,}")
    return image


def read_labels(path: Path) -> np.ndarray:
    """Read the values of a label map, (H, W), or of an RGB one, (H, W, 3); palette images give their indices.

    Raises MaskError: no such file, not an image, damaged, of floating-point values, or in a format that changes them.
    """
    with _open(path, MAX_PIXELS, MaskError) as image:
        try:
            labels = np.asarray(image)
        except Exception as error:
            raise MaskError(f"damaged label map {path}: {error}") from None
    if labels.dtype.kind == "f" or (labels.ndim != 2 and labels.shape[2:] != (3,)):
        raise MaskError(f"{path} is not a label map: one channel of whole numbers or RGB is needed, not {image.mode}")
    if image.format in ("JPEG", "MPO", "WEBP", "AVIF") and len(np.unique(labels)) > 2:
        advice = "save the labels, or of a mask mask > 127, as PNG"
        raise MaskError(f"{path} is of the format {image.format}, which changes the values of labels: {advice}")
    return labels
