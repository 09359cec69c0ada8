"""The label files of a training set: COCO by ourselves, YOLO and Pascal VOC by supervision."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import numpy as np

from maskadapter.io import encode_mask, image_entry
from maskadapter.results import ResultSegment, load_supervision
from maskadapter.types import Size

if TYPE_CHECKING:
    from supervision import Detections

Format = Literal["coco", "yolo", "voc"]

LABEL_FILES = {"coco": ("annotations", ".json"), "yolo": ("labels", ".txt"), "voc": ("annotations", ".xml")}
"""Folder and suffix of the file that holds one image's labels, by format."""


def label_text(
    format: Format, image: Path, file_name: str, size: Size, names: Sequence[str], segments: Sequence[ResultSegment]
) -> str:
    """Return the content of one image's label file. Raises MaskAdapterError where supervision is needed and missing.

    image: the image's file. file_name: its path below ``images/`` of the set. size: (height, width) in pixels. names:
    of the classes. segments: those that become labels; they may overlap.
    """
    if format == "coco":
        return _coco_text(file_name, size, segments)
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
