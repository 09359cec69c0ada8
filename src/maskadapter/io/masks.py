"""Reading masks from arrays, files and other libraries as (N, H, W) bool."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.errors import MaskError
from maskadapter.io.coco_format import comparable_id, panoptic_ids
from maskadapter.io.coco_masks import annotations_of_image, check_one_image, decode_annotations, kind_of
from maskadapter.io.images import read_labels
from maskadapter.io.label_maps import label_values
from maskadapter.io.mask_arrays import as_array, check_shape, two_valued
from maskadapter.system.json_files import read_json
from maskadapter.system.paths import user_path

_PIXELS = 1 << 27  # of the masks that are decoded at a time


def read_masks(source: Any, size: tuple[int, int], file_name: str | None = None) -> np.ndarray:
    """Read all masks of a source into memory, (N, H, W) bool; N may be 0. Arguments and errors as in ``mask_parts``."""
    parts = list(mask_parts(source, size, file_name))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def mask_parts(source: Any, size: tuple[int, int], file_name: str | None = None) -> Iterator[np.ndarray]:
    """Read the masks of one image, which may overlap, in parts that fit in memory, each (n, H, W) bool.

    There is at least one part, which may be empty.
    source: one of
        - an array, tensor or nested list (N, H, W) or (N, 1, H, W) of bool, numbers 0 and 1, or whole numbers 0 and
          255; one mask (H, W) of bool; a list of masks; a ``.npy`` file, or an ``.npz`` file with one array or one
          named ``masks``;
        - a label map: a file with one channel, a PIL image, an array (H, W) of whole numbers; or a panoptic PNG, RGB
          with id = R + 256 G + 256^2 B: each value or id above zero is one mask, in ascending order;
        - COCO JSON, a path or its content: a list of annotations, or a file with ``images`` and ``annotations``, from
          which the annotations of ``file_name`` are taken (of its only image where it has one);
        - what ``segment`` and ``classify`` return; ``supervision.Detections`` with masks; ultralytics' ``Results``;
          dicts with ``segmentation`` (an array or run lengths) from SAM's automatic mask generator; what transformers'
          pipelines ``mask-generation`` and ``image-segmentation`` and its post-processing return.
    size: (height, width) of the image. file_name: the image's name in a COCO file.
    Raises MaskError: no such file, another shape, type or size, another format, values that may mean several things.
    """
    name = str(source) if isinstance(source, str | Path) else f"the given {type(source).__name__}"
    value = source
    size = (int(size[0]), int(size[1]))
    try:
        if isinstance(source, str | Path):
            path = user_path(source, MaskError)
            name, value = str(path), _read(path)
        for masks in _from_value(value, size, file_name):
            yield np.require(masks, requirements=["C", "W"])  # copies a memory-mapped file
    except MaskError as error:
        raise MaskError(str(error) if name in str(error) else f"{name}: {error}") from None


def _read(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _load(path)
    if suffix == ".json":
        return read_json(path, MaskError)
    labels = read_labels(path)
    return panoptic_ids(labels) if labels.ndim == 3 else labels.astype(np.uint8) if labels.dtype == bool else labels


def _from_value(source: Any, size: tuple[int, int], file_name: str | None) -> Iterator[np.ndarray]:
    if isinstance(source, Mapping):
        if "segments_info" in source and "segmentation" in source:
            return _from_segments(source["segmentation"], source["segments_info"], size)
        if "masks" in source:  # of transformers' mask-generation pipeline
            return _from_value(source["masks"], size, file_name)
        is_annotation = "segmentation" in source or "mask" in source
        source = [source] if is_annotation else annotations_of_image(source, size, file_name)
    if isinstance(source, list | tuple) and any(isinstance(each, Mapping) for each in source):
        return _from_annotations(source, size)
    if isinstance(source, list | tuple) and source and hasattr(source[0], "orig_shape"):
        if len(source) > 1:
            raise MaskError(f"the list holds results of {len(source)} images: give the one of this image")
        source = source[0]
    if hasattr(source, "orig_shape"):  # ultralytics' Results, or its Masks; isinstance would import the library
        source = _held(source, getattr(source, "masks", source), "data", size)
    elif hasattr(source, "xyxy"):  # supervision.Detections
        source = _held(source, source, "mask", size)
    elif isinstance(masks := getattr(source, "masks", None), np.ndarray):  # our own results
        source = masks
    return _from_array(as_array(source), size)


def _held(holder: Any, part: Any, name: str, size: tuple[int, int]) -> Any:
    masks = getattr(part, name, None)
    if masks is None and len(holder):
        raise MaskError(f"the {type(holder).__name__} has boxes and no masks; masks are needed")
    return np.zeros((0, *size), dtype=bool) if masks is None else masks


def _from_array(array: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    if array.shape == (0,):
        array = np.zeros((0, *size), dtype=bool)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    is_map = array.ndim == 2
    check_shape((1, *array.shape) if is_map else array.shape, size)
    if is_map and array.dtype.kind in "iu":
        return (array == some[:, None, None] for some in _in_parts(label_values(array), size))
    if is_map and array.dtype.kind == "f" and array.min() >= -1 and array.max() > 1 and (array % 1 == 0).all():
        raise MaskError(f"the label map holds {array.dtype} values; whole numbers are needed: give labels.astype(int)")
    masks = array[None] if is_map else array
    return (two_valued(some) for some in _in_parts(masks, size))


def _from_annotations(annotations: Sequence[Any], size: tuple[int, int]) -> Iterator[np.ndarray]:
    for place, annotation in enumerate(annotations):
        if not isinstance(annotation, Mapping):
            raise MaskError(f"annotation number {place + 1} is {kind_of(annotation)}, not an object")
    if all("segments_info" in annotation and "segmentation" in annotation for annotation in annotations):
        if len(annotations) > 1:
            raise MaskError(f"the list holds the segments of {len(annotations)} images: give the one of this image")
        return _from_segments(annotations[0]["segmentation"], annotations[0]["segments_info"], size)
    check_one_image(annotations)
    places = range(len(annotations))
    return (
        decode_annotations(annotations[some.start : some.stop], size, some.start) for some in _in_parts(places, size)
    )


def _from_segments(segmentation: Any, segments: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> Iterator[Any]:
    """Split transformers' map of segments into one mask for each listed segment, in the order of the list."""
    array = as_array(segmentation)
    if array.ndim == 3:  # return_binary_maps
        return _from_array(array, size)
    check_shape((1, *array.shape), size)
    try:
        ids = np.array(list(dict.fromkeys(comparable_id(segment["id"]) for segment in segments)), dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise MaskError("'segments_info' is not a list of segments with whole numbers as 'id'") from None
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise MaskError(f"the map of segments holds {array.dtype} values; whole numbers are needed")
    unlisted = np.setdiff1d(array[array > 0], ids)
    if len(unlisted):
        raise MaskError(f"the map of segments has a value {unlisted[0]:g} that 'segments_info' does not list")
    return (array == some[:, None, None] for some in _in_parts(ids, size))


def _in_parts(entries: Any, size: tuple[int, int]) -> Iterator[Any]:
    """Split the entries that masks are made from into parts that fit in memory: one empty part where none are."""
    count = max(1, _PIXELS // max(1, size[0] * size[1]))
    return (entries[start : start + count] for start in range(0, max(1, len(entries)), count))


def _load(path: Path) -> np.ndarray:
    try:
        masks = np.load(path, mmap_mode="r", allow_pickle=False)  # the header's size is checked against the file
        if not isinstance(masks, np.ndarray):
            with masks as archive:
                names = archive.files
                if len(names) == 1 or "masks" in names:
                    return np.asarray(archive["masks" if "masks" in names else names[0]])
            raise MaskError(f"{path} holds {len(names)} arrays, none of them named 'masks'")
    except MaskError:
        raise
    except FileNotFoundError:
        raise MaskError(f"no such file: {path}") from None
    except Exception:  # damaged headers make NumPy raise many kinds, some of which advise unsafe options
        raise MaskError(f"not a NumPy array file of bool (N, H, W): {path}") from None
    return masks
