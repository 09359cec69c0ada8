"""Classify given masks of many images, one after another, and save each result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.io import ImageFile, InputImage
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.pipelines.coco_set import join_coco
from maskadapter.pipelines.image_run import Report, Sources, find_images, run_over_images
from maskadapter.pipelines.mask_files import MaskedImage
from maskadapter.pipelines.run_record import RunRecord, open_record
from maskadapter.results import MASK_ENDINGS, Classification, check_formats
from maskadapter.system.json_files import read_json
from maskadapter.system.paths import user_path
from maskadapter.types import EncodedImage

OF_ALL = {"coco": "instances.json", "csv": "masks.csv"}
"""The formats that several images have in one file too, and its name."""


def classify_images(
    segmenter: OpenVocabularySegmenter,
    images: Sources,
    masks: Any,
    classes: Any,
    output: str | Path,
    formats: str | Sequence[str] = ("overlay", "csv"),
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    on_result: Callable[[Classification, list[Path]], object] | None = None,
) -> Report:
    """Classify given masks of many images and save each result below ``output``, named by the image's stem.

    images: what ``find_image_files`` takes or returned. masks: as in ``segmenter.classify``; from a file those that it
    holds for the image's name, from a folder those in the file of the image's name (``photos/a/cat.jpg``:
    ``masks/a/cat.png`` or ``masks/cat.png``, ``.npy``, ``.npz``, ``.json``). formats: as in ``Classification.save``; of
    several images, ``coco`` and ``csv`` also come as one file of all, ``instances.json`` and ``masks.csv``.
    classes: as in ``segmenter.classify``. resume, settings, on_result: as in ``segment_images``.

    At most three images are in memory, as in ``segment_images``. An image that fails, with its masks or without, is
    reported and the others are done. Raises MaskAdapterError as ``segment_images`` does, and MaskError for a folder
    that has masks of no image or one file for two of them.
    """
    output, formats = user_path(output, MaskAdapterError), check_formats(formats, tuple(MASK_ENDINGS))
    todo = find_images(images, output, masks)
    encoded = segmenter.encode_text(classes)
    endings = [ending for name in MASK_ENDINGS if name in formats for ending in MASK_ENDINGS[name]]

    def names(image: ImageFile) -> list[str]:
        return [f"{image.stem}{ending}" for ending in endings]

    def compute(image: MaskedImage, pixels: InputImage | EncodedImage) -> Classification:
        result = segmenter.classify(pixels, image.masks, encoded)
        name = image.source.name if isinstance(image.source, Path) else f"{image.stem}.png"
        return replace(result, file_name=str(PurePosixPath(image.stem).with_name(name)))  # with its subfolder

    def write(image: MaskedImage, result: Classification, folder: Path) -> Classification:
        result.save(folder, formats, stem=image.stem)
        return result

    record = resume or len(todo) > 1
    made_with = {"command": "classify", **(settings or {}), **asdict(encoded.vocabulary), "formats": formats}
    with open_record(output, made_with, resume, record) as run:
        report = run_over_images(segmenter, run, todo, names, compute, write, resume, on_result)
        if record:
            _join(run, formats, encoded.vocabulary.names, encoded.vocabulary.is_thing)
    return replace(report, kept=tuple(sorted(run.kept)))


def _join(run: RunRecord, formats: Sequence[str], names: Sequence[str], is_thing: Sequence[bool]) -> None:
    """Write the files of all images that are done."""
    stems = [stem for stem, entry in sorted(run.images.items()) if "sha256" in entry]

    def files(format: str) -> Iterator[Path]:
        paths = (run.output / f"{stem}{MASK_ENDINGS[format][0]}" for stem in stems)
        return (path for path in paths if path.is_file())

    if "coco" in formats:
        parts = map(_coco_part, files("coco"))
        run.write(OF_ALL["coco"], partial(join_coco, parts=parts, names=names, is_thing=is_thing))
    if "csv" in formats:
        run.write(OF_ALL["csv"], partial(_join_tables, paths=files("csv")))


def _coco_part(path: Path) -> dict[str, Any]:
    content = read_json(path, MaskAdapterError)
    try:
        return {"image": dict(content["images"][0]), "annotations": list(content["annotations"])}
    except (KeyError, IndexError, TypeError, ValueError):
        problem = f"{path} was edited and is not a COCO file of one image any more"
        raise MaskAdapterError(f"{problem}: remove it, and --resume makes it anew") from None


def _join_tables(path: Path, paths: Iterator[Path]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, part in enumerate(paths):
            header, _, rows = part.read_text(encoding="utf-8").partition("\n")
            file.write(rows if number else f"{header}\n{rows}")
