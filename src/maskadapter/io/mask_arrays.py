"""Masks in memory, of NumPy, PyTorch, Pillow or lists, as arrays, and as bool where it is plain how."""

from typing import Any

import numpy as np
from PIL import Image

from maskadapter.errors import MaskError
from maskadapter.io.coco_format import panoptic_ids


def as_array(source: Any) -> np.ndarray:
    """Return the values of an array, tensor, image or (nested) list of them; ids of an RGB image, a panoptic PNG.

    Raises MaskError for anything else, and for parts of different shapes.
    """
    try:
        if np.ma.is_masked(source):
            raise MaskError("the array has masked values, which say nothing: give masks.filled(False)")
        if isinstance(source, np.ndarray):
            return np.asarray(source)  # of a subclass, the values
        if hasattr(source, "detach"):
            tensor = source.detach().cpu()
            return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
        if isinstance(source, Image.Image):
            array = _pixels(source)
            return panoptic_ids(array) if source.mode == "RGB" else array
        if isinstance(source, list | tuple) and any(hasattr(s, "detach") or isinstance(s, Image.Image) for s in source):
            return np.stack([as_array(each) for each in source])
        return np.asarray(source)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise MaskError(f"masks of different shapes, or not masks; bool (N, H, W) is needed ({reason})") from None


def _pixels(image: Image.Image) -> np.ndarray:
    if image.mode not in ("1", "L", "P", "I", "I;16", "F", "RGB"):
        raise MaskError(f"an image of mode {image.mode} is not a label map: one channel or RGB is needed")
    try:
        image.load()
        return np.asarray(image)
    except Exception as error:  # decoders raise many kinds; a closed image an AssertionError
        raise MaskError(f"the image is closed or damaged ({str(error) or type(error).__name__})") from None


def two_valued(masks: np.ndarray) -> np.ndarray:
    """Return masks of any shape as bool: bool, numbers 0 and 1, or whole numbers 0 and 255.

    Raises MaskError, with advice, for other values: logits, probabilities, gray edges, NaN.
    """
    if masks.dtype == bool or masks.size == 0:
        return masks.astype(bool, copy=False)
    if masks.dtype.kind not in "iuf":
        raise MaskError(f"the masks hold {masks.dtype} values; bool is needed")
    low, high = masks.min(), masks.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise MaskError("the masks hold NaN or infinite values; bool is needed")
    marked = masks == high
    if high in ((0, 1) if masks.dtype.kind == "f" else (0, 1, 255)) and (marked | (masks == 0)).all():
        return marked & (masks != 0)
    scale = f"the masks hold {masks.dtype} values from {low:g} to {high:g}"
    if low < 0:
        raise MaskError(f"{scale}, as logits do: give masks > 0")
    if high <= 1:
        raise MaskError(f"{scale}, as probabilities do: give masks > 0.5")
    if 240 <= high <= 255:
        raise MaskError(f"{scale}, as images do: of masks with gray edges give masks > 127")
    raise MaskError(f"{scale}; a label map is (H, W), masks are bool (N, H, W), for example masks > 0")


def one_mask(source: Any, size: tuple[int, int]) -> np.ndarray:
    """Return one mask, (H, W) or (1, H, W) in any form that ``as_array`` and ``two_valued`` take, as (H, W) bool."""
    mask = as_array(source)
    if mask.ndim == 3 and len(mask) == 1:
        mask = mask[0]
    if mask.shape != tuple(size):
        raise MaskError(f"a mask of shape {mask.shape} came with an image of {tuple(size)}")
    return two_valued(mask)


def check_shape(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """Raises MaskError, with advice, for a shape of masks other than (N, H, W) with ``size`` = (H, W)."""
    height, width = size
    if shape[-2:] == size and len(shape) == 3:
        return
    if not shape:
        raise MaskError("not masks: an array, tensor, list or file of masks (N, H, W) is needed")
    image = f"an image of {width} x {height}"
    if len(shape) == 3 and shape[:2] == size:
        what = "a color image is not a mask; of three masks" if shape[2] == 3 else "(N, H, W) is needed:"
        advice = "give masks.transpose(2, 0, 1), of a tensor masks.permute(2, 0, 1)"
        raise MaskError(f"the masks have shape {shape}; {what} {advice}")
    if len(shape) == 4 and shape[-2:] == size:
        raise MaskError(f"the masks have shape {shape}; (N, H, W) is needed: give masks[0], or one mask per object")
    if len(shape) not in (2, 3):
        raise MaskError(f"the masks have shape {shape}; (N, H, W) is needed")
    if shape[-2:] == (width, height):
        raise MaskError(f"the masks have shape {shape} for {image}: height and width are exchanged")
    raise MaskError(
        f"masks of {shape[-1]} x {shape[-2]} pixels for {image}: they are needed at the image's size "
        "(ultralytics: retina_masks=True; transformers: target_sizes)"
    )
