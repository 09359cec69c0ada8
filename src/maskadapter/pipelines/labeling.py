"""Training sets from images and words: a model's segments, written by supervision as COCO, YOLO or Pascal VOC."""

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image
from scipy import ndimage

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io.image_files import ImageFile
from maskadapter.io.images import ORIENTATION
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.pipelines.segmenting import (
    RECORD,
    Report,
    Sources,
    found,
    refuse_one_map_for_many,
    words,
    work_through,
)
from maskadapter.results.detections import load_supervision
from maskadapter.results.postprocessing import PanopticMap
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.renamed import refuse_old_keywords
from maskadapter.vocabulary.vocabulary import BACKGROUND

if TYPE_CHECKING:
    from supervision import DetectionDataset, Detections

Format = Literal["coco", "yolo", "voc"]

# Folder and suffix of the file that holds one image's labels.
_LABELS = {"coco": ("annotations", ".json"), "yolo": ("labels", ".txt"), "voc": ("annotations", ".xml")}
_LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")


@refuse_old_keywords
def label_images(
    segmenter: OpenVocabularySegmenter,
    images: Sources,
    classes: Any,
    output: str | Path,
    format: Format = "coco",
    score: float = 0.5,
    min_area: float = 0.001,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    masks: Any = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Make a training set of images: their panoptic segments become its labels.

    images: what ``find_image_files`` takes or returned. classes, things, background, masks: as in
        ``segmenter.segment``; the background gets no labels.
    output: the set's own folder: ``images/``, and for
        - ``"coco"`` ``annotations.json``, and ``annotations/`` with the same image by image: run-length masks;
        - ``"yolo"`` ``labels/`` and ``data.yaml``: polygons, one line for each part of a segment;
        - ``"voc"`` ``annotations/``: polygons, one object for each part of a segment.
    score: 0 to 1, segments below it are left out. min_area: 0 to 1, the least share of the image that a segment
        covers.
    resume: go on with the set in ``output``, made with the same settings, also with more images.
    settings: what else the labels depend on, as in ``segment_images``.

    An image without labels stays in the set, as background. An upright 8-bit RGB JPEG or PNG is copied, any other is
    written anew, upright, so that pixels and labels agree. Subfolders become part of the name: ``a/b.jpg`` is
    ``a__b.jpg``. One image is in memory at a time, and one that fails is reported.

    Raises MaskAdapterError: as ``segment_images``; a folder that is not empty and not the set to resume.
    """
    output = Path(output)
    if format not in _LABELS:
        raise MaskAdapterError(f"unknown format '{format}': choose from {', '.join(get_args(Format))}")
    for name, share in (("score", score), ("min_area", min_area)):
        if not 0 <= share <= 1:
            raise MaskAdapterError(f"{name} is {share}: a number from 0 to 1 is needed")
    todo = [ImageFile(image.source, image.stem.replace("/", "__")) for image in found(images, output)]
    refuse_one_map_for_many(masks, len(todo))
    twice = [stem for stem, times in Counter(image.stem for image in todo).items() if times > 1]
    if twice:
        raise MaskAdapterError(f"two images would be called {twice[0]} in the set: rename one of them")
    encoded = segmenter.encode_text(classes, things)
    names = _distinct(encoded.vocabulary.names)
    _refuse_other_files(output, resume)
    folder, suffix = _LABELS[format]

    count: Counter[str] = Counter()

    def label(image: ImageFile) -> None:
        result = segmenter.segment(image.source, encoded, background=background, masks=masks)
        written = _write_image(image, result.image, output / "images")
        panoptic = result.panoptic()
        detections = _detections(panoptic, score, min_area)
        count.update(images=1, labeled=len(detections), found=len(panoptic.segments))
        dataset = load_supervision().DetectionDataset(names, [str(written)], {str(written): detections})
        with write_atomically(output / folder / f"{image.stem}{suffix}") as temporary:
            temporary.write_text(_labels(dataset, format, written.stem), encoding="utf-8")

    report = work_through(
        todo,
        output,
        {
            "command": "label",
            **(settings or {}),
            **words(encoded.vocabulary, background),
            "format": format,
            "score": score,
            "min_area": min_area,
        },
        files=lambda image: [output / folder / f"{image.stem}{suffix}"],
        work=label,
        resume=resume,
        record=True,
    )
    if format == "coco":
        _join(output, names)
    if format == "yolo":
        with write_atomically(output / "data.yaml") as temporary:
            load_supervision().DetectionDataset(names, [], {}).as_yolo(data_yaml_path=str(temporary))
    if not count["images"]:
        return report
    left = count["found"] - count["labeled"]
    return replace(report, note=f"{count['labeled']:,} segments labeled, {left:,} left out by score or area")


def _distinct(names: Sequence[str]) -> list[str]:
    """ADE20K's long list has two kinds of "pot"; a training set tells its classes apart by name."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct


def _refuse_other_files(output: Path, resume: bool) -> None:
    try:
        empty = not output.exists() or not any(output.iterdir())
    except OSError as error:
        raise MaskAdapterError(f"cannot write {output}: {error.strerror}") from None
    if not empty and not (resume and (output / RECORD).exists()):
        raise MaskAdapterError(
            f"{output} is not empty: a training set needs a folder of its own; --resume goes on with one"
        )


def _write_image(image: ImageFile, pixels: np.ndarray, folder: Path) -> Path:
    """The image in the set: its file as it is, where every reader sees ``pixels`` in it, and else written anew."""
    suffix = _plain(image.source)
    if suffix is not None and isinstance(image.source, Path):
        try:
            content = image.source.read_bytes()
        except OSError as error:
            raise ImageError(f"cannot read {image.source}: {error.strerror}") from None
        with write_atomically(folder / f"{image.stem}{suffix}") as temporary:
            temporary.write_bytes(content)
        return folder / f"{image.stem}{suffix}"
    lossy = isinstance(image.source, Path) and image.source.suffix.lower() in _LOSSY
    path = folder / f"{image.stem}{'.jpg' if lossy else '.png'}"
    with write_atomically(path) as temporary:
        Image.fromarray(pixels).save(temporary, quality=95, subsampling=0)
    return path


def _plain(source: Path | Image.Image) -> str | None:
    """``".jpg"`` or ``".png"`` for a file of that kind, upright, RGB, nothing transparent; None for others."""
    if isinstance(source, Image.Image):
        return None
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(source, formats=("JPEG", "PNG")) as image:
            upright = image.getexif().get(ORIENTATION, 1) == 1
            if image.mode == "RGB" and upright and "transparency" not in image.info:
                return {"JPEG": ".jpg", "PNG": ".png"}.get(image.format or "")
    except Exception:  # neither of the two, or its EXIF block is broken; the pixels were read before
        pass
    return None


def _detections(panoptic: PanopticMap, score: float, min_area: float) -> "Detections":
    """The segments that are sure and large enough; their masks as runs inside their boxes, which take little memory."""
    supervision, least = load_supervision(), max(1, min_area * panoptic.ids.size)
    kept = [s for s in panoptic.segments if s.score >= score and s.area >= least]
    if not kept:
        return supervision.Detections.empty()
    places = ndimage.find_objects(panoptic.ids)
    masks, boxes = [], []
    for segment in kept:
        rows, columns = places[segment.id - 1]
        boxes.append([columns.start, rows.start, columns.stop, rows.stop])
        mask = (panoptic.ids == segment.id)[None]
        masks.append(supervision.CompactMask.from_dense(mask, np.array(boxes[-1:]), panoptic.ids.shape))
    return supervision.Detections(
        xyxy=np.array(boxes, dtype=np.float32),
        mask=supervision.CompactMask.merge(masks),
        class_id=np.array([segment.label for segment in kept]),
        confidence=np.array([segment.score for segment in kept], dtype=np.float32),
        # supervision writes run lengths for crowds alone, and polygons would lose the holes; see _labels.
        data={"iscrowd": np.ones(len(kept), dtype=int)},
    )


def _labels(dataset: "DetectionDataset", format: Format, stem: str) -> str:
    """What supervision writes of a set of one image."""
    with TemporaryDirectory() as folder:
        written = Path(folder, f"{stem}{_LABELS[format][1]}")
        if format == "yolo":
            dataset.as_yolo(annotations_directory_path=folder)
        elif format == "voc":
            dataset.as_pascal_voc(annotations_directory_path=folder)
        else:
            dataset.as_coco(annotations_path=str(written))
        text = written.read_text(encoding="utf-8")
    if format == "voc":
        return text.replace("<database>roboflow.ai<", "<database>maskadapter<")
    if format == "yolo":
        return text
    content = json.loads(text)
    # The time and a license that nobody gave would differ from run to run and be wrong.
    image = {key: content["images"][0][key] for key in ("file_name", "height", "width")}
    annotations = [{**annotation, "iscrowd": 0} for annotation in content["annotations"]]
    return json.dumps({"image": image, "annotations": annotations}) + "\n"


def _join(output: Path, names: Sequence[str]) -> None:
    """annotations.json from the files of the single images, one of them in memory at a time."""
    stems = json.loads((output / RECORD).read_text(encoding="utf-8"))["images"]
    parts = [path for stem in sorted(stems) if (path := output / "annotations" / f"{stem}.json").is_file()]
    images, annotation_id = [], 0
    with write_atomically(output / "annotations.json") as temporary:
        load_supervision().DetectionDataset(list(names), [], {}).as_coco(annotations_path=str(temporary))
        categories = json.loads(temporary.read_text(encoding="utf-8"))["categories"]
        with temporary.open("w", encoding="utf-8") as file:
            file.write('{"info": {}, "licenses": [], "annotations": [')
            for image_id, path in enumerate(parts, start=1):
                part = json.loads(path.read_text(encoding="utf-8"))
                images.append({"id": image_id, **part["image"]})
                for annotation in part["annotations"]:
                    file.write(",\n" if annotation_id else "\n")
                    annotation_id += 1
                    file.write(json.dumps({**annotation, "id": annotation_id, "image_id": image_id}))
            file.write(f'\n], "images": {json.dumps(images)}, "categories": {json.dumps(categories)}}}\n')
