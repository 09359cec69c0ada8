"""The label files of a training set: COCO by ourselves, YOLO and Pascal VOC by supervision."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from maskadapter.io import categories, encode_mask, image_entry
from maskadapter.results import PanopticMap, Segment, load_supervision
from maskadapter.system.atomic_files import write_atomically

if TYPE_CHECKING:
    from supervision import Detections

Format = Literal["coco", "yolo", "voc"]

LABEL_FILES = {"coco": ("annotations", ".json"), "yolo": ("labels", ".txt"), "voc": ("annotations", ".xml")}
"""Folder and suffix of the file that holds one image's labels, by format."""


def label_text(
    format: Format, image: Path, names: Sequence[str], panoptic: PanopticMap, segments: Sequence[Segment]
) -> str:
    """Return the content of one image's label file. Raises MaskAdapterError where supervision is needed and missing.

    image: the image's file in the set. names: of the classes. segments: those of ``panoptic`` that become labels.
    """
    if format == "coco":
        return _coco_text(image.name, panoptic, segments)
    labels = {str(image): _detections(panoptic, segments)}
    dataset = load_supervision().DetectionDataset(list(names), [str(image)], labels)
    with TemporaryDirectory() as folder:
        (dataset.as_yolo if format == "yolo" else dataset.as_pascal_voc)(annotations_directory_path=folder)
        text = Path(folder, f"{image.stem}{LABEL_FILES[format][1]}").read_text(encoding="utf-8")
    return text.replace("<database>roboflow.ai<", "<database>maskadapter<") if format == "voc" else text


def join_coco(output: Path, parts: Iterable[Path], names: Sequence[str], is_thing: Sequence[bool]) -> None:
    """Write ``annotations.json`` from the label files of single images, one of them in memory at a time."""
    images, annotation_id = [], 0
    with write_atomically(output / "annotations.json") as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "annotations": [')
        for image_id, path in enumerate(parts, start=1):
            part = json.loads(path.read_text(encoding="utf-8"))
            images.append({**part["image"], "id": image_id})
            for annotation in part["annotations"]:
                file.write(",\n" if annotation_id else "\n")
                annotation_id += 1
                file.write(json.dumps({**annotation, "id": annotation_id, "image_id": image_id}))
        rest = json.dumps(images), json.dumps(categories(names, is_thing), ensure_ascii=False)
        file.write(f'\n], "images": {rest[0]}, "categories": {rest[1]}}}\n')


def _coco_text(file_name: str, panoptic: PanopticMap, segments: Sequence[Segment]) -> str:
    annotations = [
        {
            "category_id": segment.label + 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": segment.area,
            "segmentation": encode_mask(panoptic.ids == segment.id),
            "iscrowd": 0,
        }
        for segment, (left, top, right, bottom) in zip(segments, _boxes(panoptic, segments), strict=True)
    ]
    return json.dumps({"image": image_entry(file_name, panoptic.ids.shape), "annotations": annotations}) + "\n"


def _detections(panoptic: PanopticMap, segments: Sequence[Segment]) -> "Detections":
    """The segments for supervision; their masks as runs inside their boxes, which take little memory."""
    supervision = load_supervision()
    if not segments:
        return supervision.Detections.empty()
    boxes = np.array(_boxes(panoptic, segments))
    masks = [
        supervision.CompactMask.from_dense((panoptic.ids == segment.id)[None], box[None], panoptic.ids.shape)
        for segment, box in zip(segments, boxes, strict=True)
    ]
    return supervision.Detections(
        xyxy=boxes.astype(np.float32),
        mask=supervision.CompactMask.merge(masks),
        class_id=np.array([segment.label for segment in segments]),
        confidence=np.array([segment.score for segment in segments], dtype=np.float32),
    )


def _boxes(panoptic: PanopticMap, segments: Sequence[Segment]) -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) of each segment in pixels; right and bottom are past the last pixel."""
    places = ndimage.find_objects(panoptic.ids)
    return [(x.start, y.start, x.stop, y.stop) for y, x in (places[segment.id - 1] for segment in segments)]
