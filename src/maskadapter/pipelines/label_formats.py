"""The label files of a training set: COCO and labelme by ourselves, YOLO and Pascal VOC by supervision."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from maskadapter.io import encode_mask, image_entry, outlines_of
from maskadapter.results import ResultSegment, load_supervision
from maskadapter.types import Size

if TYPE_CHECKING:
    from supervision import Detections

Format = Literal["coco", "yolo", "voc", "labelme"]

LABEL_FILES = {
    "coco": ("annotations", ".json"),
    "yolo": ("labels", ".txt"),
    "voc": ("annotations", ".xml"),
    "labelme": ("images", ".json"),
}
"""Folder and suffix of the file that holds one image's labels, by format."""

_LABELME = "5.5.0"  # the version whose files these are like; labelme 4 and 5 read them

BY_SUPERVISION = ("yolo", "voc")
"""The formats that need supervision. Their readers look into no subfolders."""


def label_text(
    format: Format, image: Path, file_name: str, size: Size, names: Sequence[str], segments: Sequence[ResultSegment]
) -> str:
    """Return the content of one image's label file. Raises MaskAdapterError where supervision is needed and missing.

    image: the image's file. file_name: its path below ``images/`` of the set. size: (height, width) in pixels. names:
    of the classes. segments: those that become labels; they may overlap.
    """
    if format == "coco":
        return _coco_text(file_name, size, segments)
    if format == "labelme":
        return _labelme_text(image.name, size, names, segments)
    labels = {str(image): _detections(segments, size)}
    dataset = load_supervision().DetectionDataset(list(names), [str(image)], labels)
    with TemporaryDirectory() as folder:
        (dataset.as_yolo if format == "yolo" else dataset.as_pascal_voc)(annotations_directory_path=folder)
        text = Path(folder, f"{image.stem}{LABEL_FILES[format][1]}").read_text(encoding="utf-8")
    return text.replace("<database>roboflow.ai<", "<database>maskadapter<") if format == "voc" else text


def distinct_names(names: Sequence[str]) -> list[str]:
    """Number the names that repeat: ADE20K's long list has two kinds of "pot", and classes of a set differ by name."""
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]


def _coco_text(file_name: str, size: Size, segments: Sequence[ResultSegment]) -> str:
    annotations = [
        {
            "category_id": segment.label + 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": segment.area,
            "segmentation": encode_mask(segment.mask),
            "iscrowd": 0,
        }
        for segment, (left, top, right, bottom) in ((segment, segment.box) for segment in segments)
    ]
    return json.dumps({"image": image_entry(file_name, size), "annotations": annotations}) + "\n"


def _labelme_text(image_name: str, size: Size, names: Sequence[str], segments: Sequence[ResultSegment]) -> str:
    """Source: labelme 5, ``labelme/label_file.py``. The parts of a segment are a group; its best classes are the
    description."""
    shapes: list[dict[str, Any]] = []
    for segment in segments:
        rings = [outline.ring().round(2).tolist() for outline in outlines_of(segment.compact)]
        shape: dict[str, Any] = {
            "label": names[segment.label],
            "group_id": segment.id if len(rings) > 1 else None,
            "description": segment.top_text(),
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        shapes += [{**shape, "points": ring} for ring in rings]
    image: dict[str, Any] = {"imagePath": image_name, "imageData": None, "imageHeight": size[0], "imageWidth": size[1]}
    content: dict[str, Any] = {"version": _LABELME, "flags": {}, "shapes": shapes, **image}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _detections(segments: Sequence[ResultSegment], size: Size) -> "Detections":
    """The segments for supervision; their masks as runs inside their boxes, which take little memory."""
    supervision = load_supervision()
    if not segments:
        return supervision.Detections.empty()
    boxes = np.array([segment.box for segment in segments])
    masks = [
        supervision.CompactMask.from_dense(segment.mask[None], box[None], size)
        for segment, box in zip(segments, boxes, strict=True)
    ]
    return supervision.Detections(
        xyxy=boxes.astype(np.float32),
        mask=supervision.CompactMask.merge(masks),
        class_id=np.array([segment.label for segment in segments]),
        confidence=np.array([segment.score for segment in segments], dtype=np.float32),
    )
