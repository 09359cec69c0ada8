"""COCO's formats: run-length masks, polygons, panoptic PNGs. Source: cocodataset.org, data format."""

import math
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from maskadapter.errors import MaskError
from maskadapter.io.polygons import draw_polygons

_LARGEST_SHIFT = 60  # bits of a run; without a limit, a run of very many letters would take very long


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask, (H, W) bool, as COCO's compressed run lengths, ready for JSON."""
    encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}


def decode_segmentation(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode a COCO ``segmentation`` (polygons, run lengths or compressed run lengths) to a mask, (H, W) bool.

    size: (height, width) of the image. Polygons that enclose less than a pixel may give an empty mask. Raises MaskError
    for any other value, for run lengths of another size, and for polygons that cannot be of this image.
    """
    try:
        if isinstance(segmentation, Mapping):
            return _fill_runs(segmentation, size)
        if isinstance(segmentation, list | tuple):
            return _fill_runs(draw_polygons(segmentation, size), size)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise MaskError(f"not a COCO segmentation ({error}): polygons or run lengths are needed") from None
    kind = type(segmentation).__name__
    raise MaskError(f"not a COCO segmentation ({kind}): polygons or run lengths are needed")


def _fill_runs(segmentation: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    height, width = size
    high, wide = map(comparable_id, segmentation["size"])
    if (high, wide) != (height, width):
        raise MaskError(f"a run-length mask of {wide} x {high} pixels came with an image of {width} x {height}")
    counts = segmentation["counts"]
    runs = np.array(_run_lengths(counts) if isinstance(counts, str | bytes) else counts)
    if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iuf"):
        raise MaskError("not a COCO segmentation: run lengths are whole numbers in one list")
    # pycocotools decodes without this check: runs that end early would leave the rest of the mask uninitialized.
    if not ((runs >= 0) & (runs <= height * width) & (runs == np.floor(runs))).all():
        raise MaskError(
            f"a run-length mask has a run below 0, above the {height * width} pixels, or not a whole number"
        )
    if runs.sum() != height * width:
        raise MaskError(f"a run-length mask has {runs.sum():.0f} pixels; {height * width} are needed")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs.astype(np.int64)).reshape(size, order="F")


def _run_lengths(counts: str | bytes) -> list[int]:
    """Decompress run lengths: five bits a letter, lowest first; from the fourth run on, added to the run two before."""
    letters = iter(counts.encode("ascii") if isinstance(counts, str) else counts)
    runs: list[int] = []
    for letter in letters:
        value, shift, bits = 0, 0, letter - 48
        while bits & 32:
            value |= (bits & 31) << shift
            shift += 5
            bits = next(letters, 0) - 48
            if bits < 0 or shift > _LARGEST_SHIFT:
                raise ValueError("they end early, or have a run of too many letters")
        value |= (bits & 31) << shift
        if bits & 16:
            value -= 1 << (shift + 5)
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs


def comparable_id(value: Any) -> int | float | str:
    """Bring an id of a COCO file into the form in which ids are compared.

    The number 1, 1.0, "1" and "1.0" are all 1. Other numbers and texts stay as they are: "007" is not 7. Raises
    MaskError for what identifies nothing: null, NaN, an empty text, true, a list.
    """
    if isinstance(value, str) and value.strip():
        whole = re.fullmatch(r"(0|-?[1-9]\d{0,30})(\.0*)?", value.strip(), re.ASCII)
        return int(whole[1]) if whole else value
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value):
        return int(value) if value == int(value) else float(value)
    raise MaskError(f"an id is a number or a text, not {value!r:.40}")


def panoptic_image(ids: np.ndarray) -> Image.Image:
    """Encode segment ids, (H, W) int from 0, as a panoptic PNG: RGB with id = R + 256 G + 256^2 B, 0 = no segment."""
    low_first = np.ascontiguousarray(ids, "<u4").view(np.uint8)
    return Image.fromarray(np.ascontiguousarray(low_first.reshape(*ids.shape, 4)[..., :3]))


def panoptic_ids(image: np.ndarray) -> np.ndarray:
    """Decode the segment ids, (H, W) int32, of a panoptic PNG, (H, W, 3) uint8."""
    channels = image.astype(np.int32)
    return channels[..., 0] + 256 * channels[..., 1] + 65536 * channels[..., 2]


def categories(names: Sequence[str], is_thing: Sequence[bool]) -> list[dict[str, Any]]:
    """Build COCO's ``categories`` of class names: ids from 1 in their order."""
    return [
        {"id": i, "name": name, "isthing": int(thing), "supercategory": "thing" if thing else "stuff"}
        for i, (name, thing) in enumerate(zip(names, is_thing, strict=True), start=1)
    ]


def coco_info() -> dict[str, Any]:
    """Build COCO's ``info`` and ``licenses``, which readers expect; the license of the images is not known."""
    return {"info": {"description": f"predicted by maskadapter {version('maskadapter')}"}, "licenses": []}


def image_entry(file_name: str, size: tuple[int, int], image_id: int = 1) -> dict[str, Any]:
    """Build COCO's ``images`` entry of an image of ``size`` = (height, width)."""
    return {"id": image_id, "file_name": file_name, "height": size[0], "width": size[1]}
