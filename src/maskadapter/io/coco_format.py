"""COCO's file formats: run-length masks, instances, panoptic PNGs. Source: cocodataset.org, data format."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.results.postprocessing import ClassScore, PanopticMap, boxes_of
from maskadapter.system.atomic_files import write_atomically

MAX_JSON_BYTES = 500_000_000  # a film given by mistake is not read


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """(H, W) bool -> COCO's compressed run lengths, ready for JSON."""
    encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}


def decode_segmentation(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """A COCO ``segmentation`` (polygons, run lengths, compressed run lengths) -> (H, W) bool.

    size: (height, width) of the image. Raises MaskError for anything else, and for run lengths of another size.
    """
    height, width = size
    try:
        if isinstance(segmentation, list):
            polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
            if not polygons:
                return np.zeros(size, dtype=bool)
            return rle.decode(rle.merge(rle.frPyObjects(polygons, height, width))).astype(bool)
        given = tuple(segmentation["size"])
        if given != tuple(size):
            raise MaskError(
                f"a run-length mask of {given[1]} x {given[0]} pixels came with an image of {width} x {height}"
            )
        counts = segmentation["counts"]
        runs = counts if isinstance(counts, list) else _run_lengths(counts)
        # pycocotools does not look: runs that end early would leave the rest of its memory as it was.
        if sum(runs) != height * width or min(runs, default=0) < 0:
            raise MaskError(f"a run-length mask has {sum(runs)} pixels; {height * width} are needed")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
        raise MaskError(f"not a COCO segmentation ({error}): polygons or run lengths are needed") from None


def _run_lengths(counts: str | bytes) -> list[int]:
    """The runs in a compressed string: five bits a letter, lowest first, from the third on minus the run two before."""
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
    """(H, W) ids from 0 -> the RGB image of COCO panoptic: id = R + 256 G + 256^2 B, 0 = no segment."""
    return Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=-1).astype(np.uint8))


def panoptic_ids(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) int32 ids."""
    channels = image.astype(np.int32)
    return channels[..., 0] + 256 * channels[..., 1] + 65536 * channels[..., 2]


def categories(names: Sequence[str], is_thing: Sequence[bool]) -> list[dict[str, Any]]:
    """COCO's categories, ids from 1 in the order of the names."""
    return [
        {"id": i, "name": name, "isthing": int(thing), "supercategory": "thing" if thing else "stuff"}
        for i, (name, thing) in enumerate(zip(names, is_thing, strict=True), start=1)
    ]


def panoptic_annotation(panoptic: PanopticMap, file_name: str, image_id: int = 1) -> dict[str, Any]:
    """What the JSON says of one panoptic PNG."""
    segments = []
    for segment in panoptic.segments:
        inside = panoptic.ids == segment.id
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
        segments.append(
            {
                "id": segment.id,
                "category_id": segment.label + 1,
                "area": segment.area,
                "bbox": [int(edge) for edge in box],
                "iscrowd": 0,
                "score": round(segment.score, 6),
            }
        )
    return {"image_id": image_id, "file_name": file_name, "segments_info": segments}


def instance_annotations(
    found: Iterable[tuple[np.ndarray, Sequence[ClassScore]]], image_id: int = 1, first_id: int = 1
) -> list[dict[str, Any]]:
    """What the JSON says of instances, best first; empty masks are left out.

    found: masks (H, W) bool, each with what it was taken for; one mask is in memory at a time.
    """
    rows: list[tuple[float, int, dict[str, Any]]] = []
    for mask, classes in found:
        area = int(mask.sum())
        if not area:
            continue
        x, y, right, bottom = (float(edge) for edge in boxes_of(mask[None])[0])
        shape = {"segmentation": encode_mask(mask), "area": area, "bbox": [x, y, right - x, bottom - y], "iscrowd": 0}
        for one in classes:
            facts = {"category_id": one.label + 1, "score": round(one.score, 6)}
            rows.append((-one.score, one.rank, {"image_id": image_id, **facts, **shape}))
    rows.sort(key=lambda row: row[:2])
    return [{"id": number, **annotation} for number, (_, _, annotation) in enumerate(rows, start=first_id)]


def image_entry(file_name: str, size: tuple[int, int], image_id: int = 1) -> dict[str, Any]:
    """COCO's ``images`` entry of an image of ``size`` = (height, width)."""
    return {"id": image_id, "file_name": file_name, "height": size[0], "width": size[1]}


def read_json(path: Path, refusal: type[MaskAdapterError], max_bytes: int = MAX_JSON_BYTES) -> Any:
    """What a JSON file holds. Raises ``refusal``, one line: no such file, more than ``max_bytes``, no JSON."""
    try:
        if path.stat().st_size > max_bytes:
            raise refusal(f"{path} is larger than {max_bytes:,} bytes; split it by image")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise refusal(f"no such file: {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise refusal(f"cannot read {path} as JSON: {error}") from None


def write_json(path: Path, content: Mapping[str, Any] | Iterable[Any]) -> Path:
    """Write ``content`` whole or not at all."""
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
