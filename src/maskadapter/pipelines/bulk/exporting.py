"""Turn the parts of a plan into a data set: COCO, YOLO, Pascal VOC or COCO panoptic, a row at a time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import decode_segmentation, image_entry, panoptic_image, read_stream
from maskadapter.pipelines.bulk.image_bytes import ImageBytes
from maskadapter.pipelines.bulk.part_file import part_rows
from maskadapter.pipelines.bulk.plan import Plan, read_plan
from maskadapter.pipelines.coco_set import INDEX, join_coco
from maskadapter.pipelines.label_formats import LABEL_FILES, distinct_names, label_text
from maskadapter.pipelines.set_image import write_set_image
from maskadapter.pipelines.yolo_set import INDEX as DATA_YAML
from maskadapter.pipelines.yolo_set import data_yaml
from maskadapter.results import (
    ResultSegment,
    load_supervision,
    painted,
    panoptic_annotation,
    segment_annotations,
    write_file,
)
from maskadapter.system.atomic_folder import write_folder_atomically
from maskadapter.system.paths import check_folder
from maskadapter.system.progress import bar
from maskadapter.types import CompactMask, Size
from maskadapter.vocabulary import Vocabulary

ExportFormat = Literal["coco", "yolo", "voc", "panoptic"]


@dataclass
class ExportReport:
    """images: in the set. segments: that became labels. without: images that have an error in place of a result, and
    are not in the set. failed: images that could not be copied, and why."""

    images: int = 0
    segments: int = 0
    without: int = 0
    failed: tuple[str, ...] = ()


def export_shards(
    folder: str | Path, output: str | Path, format: ExportFormat = "coco", score: float = 0.0, min_area: float = 0.0
) -> ExportReport:
    """Write the results of a plan whose shards are all done into a new folder, as a data set; one row is in memory.

    format: ``"coco"``: ``annotations.json``, instances with scores; ``"panoptic"``: ``panoptic.json`` and
        ``panoptic/`` with a PNG for each image; both name the images and copy none. ``"yolo"``: ``images/``,
        ``labels/`` and ``data.yaml``; ``"voc"``: ``images/`` and ``annotations/``; as ``label_images`` writes them.
    score, min_area: 0 to 1, the least score and the least share of the image of a segment that is exported.
    Raises MaskAdapterError: no plan, shards that are not done, a folder that is not empty, a missing extra.
    """
    plan, output = read_plan(folder), check_folder(output)
    if format not in get_args(ExportFormat):
        raise MaskAdapterError(f"unknown format '{format}': choose from {', '.join(get_args(ExportFormat))}")
    for name, value in (("score", score), ("min_area", min_area)):
        if not 0 <= value <= 1:
            raise MaskAdapterError(f"{name} is {value}: a number from 0 to 1 is needed")
    if output.exists() and any(output.iterdir()):
        raise MaskAdapterError(f"{output} is not empty: a data set needs its own folder, choose a new one")
    if missing := sum(not plan.part(shard).exists() for shard in range(plan.shards)):
        todo = f"finish them with 'maskadapter bulk run {folder}'"
        raise MaskAdapterError(f"{missing:,} of {plan.shards:,} shards are not done: {todo}")
    if format in LABEL_FILES and format != "coco":
        load_supervision()  # a missing library is reported before the first image
    names, report = distinct_names(plan.vocabulary.names), ExportReport()
    with write_folder_atomically(output) as place, bar("images", plan.image_count) as advance:
        rows = _rows(plan, score, min_area, report, advance)
        if format in ("coco", "panoptic"):
            parts = _coco_parts(rows) if format == "coco" else _panoptic_parts(rows, place / "panoptic")
            join_coco(place / (INDEX if format == "coco" else "panoptic.json"), parts, names, plan.vocabulary.is_thing)
        else:
            _write_labels(plan, rows, place, format, names, report)
    return report


_Row = tuple[int, dict[str, Any], Size, list[ResultSegment]]
"""Place of an image in the plan, its row, its size and the segments to export."""


def _rows(plan: Plan, score: float, min_area: float, report: ExportReport, advance: Any) -> Iterator[_Row]:
    place = 0
    for shard in range(plan.shards):
        for row in part_rows(plan.part(shard), plan.settings_hash):
            if row["error"] is not None:
                report.without += 1
            else:
                size = (row["height"], row["width"])
                least = max(1, min_area * size[0] * size[1])
                kept = [one for one in row["segments"] if one["score"] >= score and one["area"] >= least]
                segments = [_segment(number, one, size, plan.vocabulary) for number, one in enumerate(kept, start=1)]
                report.images += 1
                report.segments += len(segments)
                yield place, row, size, segments
            place += 1
            advance(1)


def _segment(number: int, found: dict[str, Any], size: Size, vocabulary: Vocabulary) -> ResultSegment:
    mask = CompactMask.of(decode_segmentation({"size": size, "counts": found["counts"]}, size))
    best = found["best"]
    probs = np.array([one["probability"] for one in best], np.float32)
    thing, names = vocabulary.is_thing[found["label"]], tuple(one["class"] for one in best)
    return ResultSegment(number, found["label"], found["class"], thing, found["score"], mask, number - 1, probs, names)


def _coco_parts(rows: Iterator[_Row]) -> Iterator[dict[str, Any]]:
    for _, row, size, segments in rows:
        yield {"image": image_entry(row["name"], size), "annotations": segment_annotations(segments)}


def _panoptic_parts(rows: Iterator[_Row], folder: Path) -> Iterator[dict[str, Any]]:
    for _, row, size, segments in rows:
        name = _free(row["name"], folder, ".png")
        panoptic = painted(segments, size)
        write_file(folder / name, panoptic_image(panoptic.ids))
        yield {"image": image_entry(row["name"], size), "annotations": [panoptic_annotation(panoptic, name)]}


def _write_labels(
    plan: Plan, rows: Iterator[_Row], place: Path, format: Any, names: Sequence[str], report: ExportReport
) -> None:
    """Write the files of YOLO and Pascal VOC; readers of such sets look into no subfolders."""
    folder, suffix = LABEL_FILES[format]
    failed: list[str] = []
    shard_size, shard, planned = int(plan.settings["shard_size"]), -1, []
    with closing(ImageBytes()) as source:
        for number, row, size, segments in rows:
            if number // shard_size != shard:
                shard = number // shard_size
                planned = plan.images(shard)
            image = planned[number % shard_size]
            try:
                content = source.read(image)
                if sha256(content).hexdigest() != row["sha256"]:
                    raise ImageError(f"{image.path} is not the image that was segmented: it changed since then")
                label = place / folder / _free(row["name"].replace("/", "__"), place / folder, suffix)
                stem, end = label.name.removesuffix(suffix), PurePosixPath(row["name"]).suffix
                pixels = partial(read_stream, BytesIO(content), image.path)
                written = write_set_image(place / "images", stem, content, end, pixels)
                write_file(label, label_text(format, written, written.name, size, names, segments))
            except ImageError as error:
                failed.append(str(error))
                report.images -= 1
                report.segments -= len(segments)
    report.failed = tuple(failed)
    if format == "yolo":
        write_file(place / DATA_YAML, data_yaml(names, {"train": "images", "val": "images"}))


def _free(name: str, folder: Path, suffix: str) -> str:
    """The name with another suffix, and with a number where an earlier image has that."""
    stem = name[: -len(end)] if (end := PurePosixPath(name).suffix) else name
    tries = (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}" for number in count(1))
    return next(one for one in tries if not (folder / one).exists())
