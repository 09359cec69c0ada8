"""COCO's formats: run-length masks, polygons, panoptic PNGs. Source: cocodataset.org, data format."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from maskadapter.errors import MaskError


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask, (H, W) bool, as COCO's compressed run lengths, ready for JSON."""
    encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}


def decode_segmentation(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode a COCO ``segmentation`` (polygons, run lengths or compressed run lengths) to a mask, (H, W) bool.

    size: (height, width) of the image. Raises MaskError for any other value, and for run lengths of another size.
    """
    height, width = size
    try:
        if isinstance(segmentation, list):
            polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
            if not polygons:
                return np.zeros(size, dtype=bool)
            counts = rle.merge(rle.frPyObjects(polygons, height, width))["counts"]
        else:
            high, wide = segmentation["size"]
            if (high, wide) != (height, width):
                raise MaskError(f"a run-length mask of {wide} x {high} pixels came with an image of {width} x {height}")
            counts = segmentation["counts"]
        runs = counts if isinstance(counts, list) else _run_lengths(counts)
        # pycocotools decodes without this check: runs that end early would leave the rest of the mask uninitialized.
        if sum(runs) != height * width or min(runs, default=0) < 0:
            raise MaskError(f"a run-length mask has {sum(runs)} pixels; {height * width} are needed")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
        raise MaskError(f"not a COCO segmentation ({error}): polygons or run lengths are needed") from None


def _run_lengths(counts: str | bytes) -> list[int]:
    """Decompress run lengths: five bits a letter, lowest first; from the fourth run on, added to the run two before."""
    letters = iter(counts.encode("ascii") if isinstance(counts, str) else counts)
    runs: list[int] = []
    for letter in letters:
        value, shift, bits = 0, 0, letter - 48
        while bits & 32:
            value |= (bits & 31) << shift
            shift += 5
            bits = next(letters) - 48
        value |= (bits & 31) << shift
        if bits & 16:
            value -= 1 << (shift + 5)
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs


def panoptic_image(ids: np.ndarray) -> Image.Image:
    """Encode segment ids, (H, W) int from 0, as a panoptic PNG: RGB with id = R + 256 G + 256^2 B, 0 = no segment."""
    return Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=-1).astype(np.uint8))


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
