"""Training sets from images and class names: the segments that a model finds become labels."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import ImageFile, InputImage
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.models.sources import given_by_user
from maskadapter.pipelines.coco_set import check_coco, write_coco
from maskadapter.pipelines.image_run import Report, Sources, find_images, run_over_images, vocabulary_settings
from maskadapter.pipelines.label_formats import BY_SUPERVISION, LABEL_FILES, Format, distinct_names, label_text
from maskadapter.pipelines.mask_files import MaskedImage
from maskadapter.pipelines.run_record import open_record
from maskadapter.pipelines.set_folder import check_val, refuse_other_files
from maskadapter.pipelines.set_image import write_set_image
from maskadapter.pipelines.yolo_set import check_yolo, write_yolo
from maskadapter.results import Segmentation, load_supervision
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.paths import user_path
from maskadapter.system.renamed import refuse_old_keywords
from maskadapter.types import EncodedImage
from maskadapter.vocabulary import BACKGROUND


@refuse_old_keywords
def label_images(
    segmenter: OpenVocabularySegmenter,
    images: Sources,
    classes: Any,
    output: str | Path,
    format: Format = "coco",
    score: float | None = None,
    min_area: float | None = None,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    masks: Any = None,
    val: float = 0,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Make a training set of images: their segments become its labels; of given masks, each is one that may overlap.

    images: what ``find_image_files`` takes or returned. classes, things, background, masks: as in
        ``segmenter.segment``; the background gets no labels.
    output: the set's own folder: ``images/``, and for
        - ``"coco"`` ``annotations.json``, and ``annotations/`` with the same image by image: run-length masks;
        - ``"yolo"`` ``labels/`` and ``data.yaml``, from which ultralytics trains: polygons, one line for each part of a
          segment;
        - ``"voc"`` ``annotations/``: polygons, one object for each part of a segment;
        - ``"labelme"`` a JSON file beside each image: polygons, one for each part of a segment, whose description is
          its five best classes.
    score, min_area: 0 to 1, the least score and the least share of the image of a segment that becomes a label. None
        is 0.5 and 0.001, and 0 for masks that are given.
    val: 0 to 1, for "yolo": the share of the images that is held out, by the hash of their content, at least one; they
        are listed in ``val.txt`` and the others in ``train.txt``. With 0, data.yaml has all images for both.
    resume: go on with the set in ``output``, made with the same settings, also with more images. Files that are not as
        they were written, because somebody edited them, stay as they are and are reported; to an edited
        ``annotations.json``, ``train.txt`` or ``val.txt`` new images are added.
    settings: what else the labels depend on, as in ``segment_images``.

    An image without labels stays in the set, as background. An upright 8-bit RGB JPEG or PNG is copied, any other is
    written anew, upright, so that pixels and labels agree. ``a/b.jpg`` keeps its subfolder with "coco" and "labelme"
    and becomes ``a__b.jpg`` with the others, whose readers look into none. At most three images are in memory, as in
    ``segment_images``, and one that fails is reported. Raises MaskAdapterError: as ``segment_images``; a folder that is
    not empty and not the set to resume; "yolo" or "voc" where supervision is not installed; an ``annotations.json`` or
    ``data.yaml`` that was edited such that labels of new images do not fit.
    """
    output = user_path(output, MaskAdapterError)
    if format not in LABEL_FILES:
        raise MaskAdapterError(f"unknown format '{format}': choose from {', '.join(get_args(Format))}")
    given = given_by_user(masks)
    score = (0.0 if given else 0.5) if score is None else score
    min_area = (0.0 if given else 0.001) if min_area is None else min_area
    for name, share in (("score", score), ("min_area", min_area)):
        if not 0 <= share <= 1:
            raise MaskAdapterError(f"{name} is {share}: a number from 0 to 1 is needed")
    check_val(val, format)
    todo = _named_in_set(find_images(images, output, masks), format)
    if format in BY_SUPERVISION:
        load_supervision()  # a missing library is reported before the first image
    encoded = segmenter.encode_text(classes, things)
    names = distinct_names(encoded.vocabulary.names)
    refuse_other_files(output, resume)
    folder, suffix = LABEL_FILES[format]
    count = Counter[str]()

    def label_name(image: ImageFile) -> str:
        return f"{folder}/{image.stem}{suffix}"

    def compute(image: MaskedImage, pixels: InputImage | EncodedImage) -> Segmentation:
        if val and len(image.stem.splitlines()) > 1:
            raise ImageError(f"{image}: a list of images cannot hold a name with a line break; rename it")
        return segmenter.segment(pixels, encoded, background=background, masks=image.masks)

    def write(image: MaskedImage, result: Segmentation, place: Path) -> None:
        file = image.source if isinstance(image.source, Path) else None
        suffix = file.suffix if file else ""
        written = write_set_image(place / "images", image.stem, file, suffix, lambda: result.image)
        file_name = written.relative_to(place / "images").as_posix()
        height, width = result.size
        least = max(1, min_area * height * width)
        found = [segment for segment in result if segment.label >= 0]
        chosen = [segment for segment in found if segment.score >= score and segment.area >= least]
        count.update(images=1, labeled=len(chosen), left=len(found) - len(chosen))
        with write_atomically(place / label_name(image)) as temporary:
            text = label_text(format, written, file_name, result.size, names, chosen)
            temporary.write_text(text, encoding="utf-8")

    made_with = {"command": "label", **(settings or {}), **vocabulary_settings(encoded.vocabulary, background, masks)}
    made_with |= {"format": format, "score": score, "min_area": min_area, "val": val}
    with open_record(output, made_with, resume, record=True) as run:

        def check(done: set[str]) -> None:
            if format in ("coco", "yolo") and any(image.stem not in done for image in todo):
                (check_coco if format == "coco" else check_yolo)(run, names)

        over_images = partial(run_over_images, segmenter, run, todo, lambda image: [label_name(image)])
        report = over_images(compute, write, resume, check=check)
        notes = [f"{count['labeled']:,} segments labeled, {count['left']:,} left out by score or area"]
        if format == "coco":
            write_coco(run, names, encoded.vocabulary.is_thing)
        if format == "yolo":
            notes.append(write_yolo(run, names, val))
    return replace(report, note="\n".join(notes) if count["images"] else "", kept=tuple(sorted(run.kept)))


def _named_in_set(images: Sequence[MaskedImage], format: Format) -> list[MaskedImage]:
    """The images by their names in the set: readers of YOLO and VOC sets look into no subfolders."""
    if format not in BY_SUPERVISION:
        return list(images)
    flat = [replace(image, stem=image.stem.replace("/", "__")) for image in images]
    if twice := [stem for stem, times in Counter(image.stem for image in flat).items() if times > 1]:
        raise MaskAdapterError(f"two images would be called {twice[0]} in the set: rename one of them")
    return flat
