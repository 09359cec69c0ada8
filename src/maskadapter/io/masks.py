"""Reading masks from arrays, files and other libraries as (N, H, W) bool."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.errors import MaskError
from maskadapter.io.coco_format import decode_segmentation, panoptic_ids
from maskadapter.io.images import read_labels
from maskadapter.system.json_files import read_json

MAX_MASKS = 5_000  # in one label map: a photograph given by mistake has thousands of values
_PIXELS = 1 << 27  # of the masks that are decoded at a time


def read_masks(source: Any, size: tuple[int, int], file_name: str | None = None) -> np.ndarray:
    """Read all masks of a source into memory, (N, H, W) bool; N may be 0. Arguments and errors as in ``mask_parts``."""
    parts = list(mask_parts(source, size, file_name))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def mask_parts(source: Any, size: tuple[int, int], file_name: str | None = None) -> Iterator[np.ndarray]:
    """Read the masks of one image, which may overlap, in parts that fit in memory, each (n, H, W) bool.

    There is at least one part, which may be empty.
    source: one of
        - a boolean array or tensor (N, H, W), or a ``.npy`` file of one;
        - a label map file, one channel, or a panoptic PNG, RGB with id = R + 256 G + 256^2 B: each value or id above
          zero is one mask, in ascending order;
        - COCO JSON, a path or its content: a list of annotations, or a file with ``images`` and ``annotations``, from
          which the annotations of ``file_name`` are taken (of its only image where it has one);
        - ``supervision.Detections`` with masks, or dicts with ``segmentation`` (an array or run lengths) from SAM's
          automatic mask generator.
    size: (height, width) of the image. file_name: the image's name in a COCO file.
    Raises MaskError: no such file, another shape, type or size, or another format.
    """
    if isinstance(source, str | Path):
        name, parts = str(source), _from_path(Path(source), size, file_name)
    else:
        name, parts = f"the given {type(source).__name__}", _from_value(source, size, file_name)
    for masks in parts:
        if masks.dtype != bool:
            raise MaskError(f"{name} holds {masks.dtype} values; bool (N, H, W) is needed, for example masks > 0")
        if masks.ndim != 3:
            raise MaskError(f"{name} has shape {masks.shape}; (N, H, W) is needed")
        _check_size(f"{name} has masks of", masks.shape[1:], size)
        yield np.require(masks, requirements=["C", "W"])  # copies a memory-mapped file


def _check_size(what: str, found: tuple[int, ...], size: tuple[int, int]) -> None:
    if found != tuple(size):
        raise MaskError(f"{what} {found[1]} x {found[0]} pixels for an image of {size[1]} x {size[0]}")


def _from_path(path: Path, size: tuple[int, int], file_name: str | None) -> Iterator[np.ndarray]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        masks = _npy(path)
        return _parts(masks, size) if masks.ndim == 3 else iter([masks])
    if suffix == ".json":
        return _from_value(read_json(path, MaskError), size, file_name)
    labels = read_labels(path)
    return _from_labels(panoptic_ids(labels) if labels.ndim == 3 else labels, size, str(path))


def _from_labels(labels: np.ndarray, size: tuple[int, int], name: str) -> Iterator[np.ndarray]:
    """Split a label map into one mask for each value above zero, checked before a wrong image becomes gigabytes."""
    _check_size(f"{name} has", labels.shape, size)
    values = np.unique(labels[labels > 0])
    if len(values) > MAX_MASKS:
        raise MaskError(f"{name} has {len(values):,} different values, more than {MAX_MASKS:,}: is it a label map?")
    return (labels == some[:, None, None] for some in _parts(values, size))


def _parts(entries: Any, size: tuple[int, int]) -> Iterator[Any]:
    """Split the entries that masks are made from into parts that fit in memory: one empty part where none are."""
    count = max(1, _PIXELS // max(1, size[0] * size[1]))
    return (entries[start : start + count] for start in range(0, max(1, len(entries)), count))


def _from_value(source: Any, size: tuple[int, int], file_name: str | None) -> Iterator[np.ndarray]:
    if isinstance(source, Mapping):
        source = _annotations(source, file_name)
    if isinstance(source, Sequence) and not isinstance(source, str) and all(isinstance(s, Mapping) for s in source):
        return (_from_annotations(some, size) for some in _parts(source, size))
    return iter([_from_array(source, size)])


def _from_array(source: Any, size: tuple[int, int]) -> np.ndarray:
    if hasattr(source, "detach"):
        return source.detach().cpu().numpy()
    if hasattr(source, "xyxy"):  # supervision.Detections; isinstance would import the library
        if source.mask is None and len(source):
            raise MaskError("the detections have boxes and no masks; masks are needed")
        return np.zeros((0, *size), dtype=bool) if source.mask is None else np.asarray(source.mask)
    try:
        return np.asarray(source)
    except ValueError as error:
        raise MaskError(f"masks of different shapes; bool (N, H, W) is needed ({error})") from None


def _from_annotations(annotations: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(annotations), *size), dtype=bool)
    for mask, annotation in zip(masks, annotations, strict=True):
        if "segmentation" not in annotation:
            raise MaskError("an annotation has no 'segmentation'; polygons, run lengths or a boolean array are needed")
        segmentation = annotation["segmentation"]
        if not isinstance(segmentation, np.ndarray):
            segmentation = decode_segmentation(segmentation, size)
        elif segmentation.shape != tuple(size):
            raise MaskError(f"a mask of shape {segmentation.shape} came with an image of {tuple(size)}")
        mask[:] = segmentation
    return masks


def _annotations(content: Mapping[str, Any], file_name: str | None) -> list[Mapping[str, Any]]:
    """Return the annotations of one image in a whole COCO file."""
    images, annotations = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise MaskError("the JSON is not a COCO file: 'images' and 'annotations', or a list of annotations, are needed")
    wanted = [image for image in images if len(images) == 1 or Path(str(image.get("file_name"))).name == file_name]
    if len(wanted) != 1:
        raise MaskError(f"the COCO file has {len(images)} images, and {len(wanted)} of them named {file_name}")
    return [annotation for annotation in annotations if annotation.get("image_id") == wanted[0].get("id")]


def _npy(path: Path) -> np.ndarray:
    try:
        masks = np.load(path, mmap_mode="r", allow_pickle=False)  # the header's size is checked against the file
    except FileNotFoundError:
        raise MaskError(f"no such file: {path}") from None
    except Exception:  # damaged headers make NumPy raise many kinds, some of which advise unsafe options
        raise MaskError(f"not a NumPy array file of bool (N, H, W): {path}") from None
    if not isinstance(masks, np.ndarray):
        raise MaskError(f"not a NumPy array file: {path} is an archive of several")
    return masks
