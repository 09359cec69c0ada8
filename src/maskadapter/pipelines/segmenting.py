"""Segment many images, one after another, and save each result."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import ImageFile, InputImage
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.pipelines.image_run import Report, Sources, find_images, run_over_images, vocabulary_settings
from maskadapter.pipelines.mask_files import MaskedImage
from maskadapter.pipelines.run_record import open_record
from maskadapter.results import ENDINGS, ActivationMaps, Segmentation, check_formats
from maskadapter.system.paths import user_path
from maskadapter.system.renamed import refuse_old_keywords
from maskadapter.types import EncodedImage
from maskadapter.vocabulary import BACKGROUND


def segment_each(
    segmenter: OpenVocabularySegmenter,
    images: Sources,
    classes: Any,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    masks: Any = None,
    on_error: Callable[[ImageFile, ImageError], object] | None = None,
) -> Iterator[tuple[ImageFile, Segmentation]]:
    """Yield the segmentation of one image after another, each computed when it is asked for; nothing is kept.

    images: what ``find_image_files`` takes or returned. on_error: called with an image that cannot be read and the
    reason, and the next one follows; without it the error is raised. The others: as in ``segmenter.segment``.
    """
    vocabulary = segmenter.encode_text(classes, things)
    for image in find_images(images, masks=masks):
        try:
            encoded = segmenter.encode_image(image.source, image.masks)
            result = _named(segmenter.segment(encoded, vocabulary, background=background), image)
            del encoded
        except ImageError as error:
            if on_error is None:
                raise
            on_error(image, error)
        else:
            yield image, result
            del result  # before the next one is computed


@refuse_old_keywords
def segment_images(
    segmenter: OpenVocabularySegmenter,
    images: Sources,
    classes: Any,
    output: str | Path,
    formats: str | Sequence[str] = ("overlay", "labels"),
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    masks: Any = None,
    score: float = 0.0,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    on_result: Callable[[Segmentation, list[Path]], object] | None = None,
) -> Report:
    """Segment many images and save each result below ``output``, named by the image's stem.

    images: what ``find_image_files`` takes or returned. classes, things, background, masks: as in
    ``segmenter.segment``; masks from a file are those that it holds for the image's name, and from a folder those in
    the file of the image's name, see ``classify_images``. formats: as in ``Segmentation.save``. score: 0 to 1, the
    least of a segment that is saved, see ``Segmentation.filter``. resume: leave out images whose files an earlier run
    with the same settings wrote. An image is known by its content, and a file that is not as it was written, because
    somebody edited it, stays as it is and is reported. settings: what else the results depend on, such as the model's
    name, for ``resume`` to compare. on_result: called with every result and the paths of its files.

    While an image is computed, the next is read and the result before is written, each by a thread: at most three
    images are in memory, on a GPU three batches. For more than one image the settings are recorded in ``run.json``. An
    image that fails is reported and the others are done. Raises MaskAdapterError: what ``find_image_files`` raises, an
    unknown format, other settings than those of the run that is resumed, files that cannot be written or, without
    ``resume``, that were edited; another run in the same folder.
    """
    output, formats = user_path(output, MaskAdapterError), check_formats(formats)
    if not 0 <= score <= 1:
        raise MaskAdapterError(f"score is {score}: a number from 0 to 1 is needed")
    todo = find_images(images, output, masks)
    vocabulary = segmenter.encode_text(classes, things)
    endings = [ending for name in formats for ending in ENDINGS[name]]
    pruned: list[bool] = []  # whether proposals of an image were estimated in the end

    def names(image: ImageFile) -> list[str]:
        return [f"{image.stem}{ending}" for ending in endings]

    def compute(image: MaskedImage, found: InputImage | EncodedImage) -> tuple[Segmentation, ActivationMaps | None]:
        encoded = segmenter.encode_image(found, image.masks)
        result = _named(segmenter.segment(encoded, vocabulary, background=background), image)
        if result.estimated is not None:
            pruned.append(bool(result.estimated.any()))
        if score:
            result = result.filter(score=score)
        return result, segmenter.activation_maps(encoded, result) if "activations" in formats else None

    def write(image: MaskedImage, made: tuple[Segmentation, ActivationMaps | None], folder: Path) -> Segmentation:
        result, maps = made
        result.save(folder, formats, stem=image.stem, activation_maps=maps)
        return result

    made_with = {"command": "segment", **(settings or {}), "formats": formats, "score": score}
    made_with |= vocabulary_settings(vocabulary.vocabulary, background, masks)
    with open_record(output, made_with, resume, record=resume or len(todo) > 1) as run:
        report = run_over_images(segmenter, run, todo, names, compute, write, resume, on_result)
    if not pruned or len(todo) == 1:
        return report
    computed = f"{pruned.count(False):,} of {len(pruned):,} images"
    return replace(report, note=f"pruning: all proposals of {computed} were computed")


def _named(result: Segmentation, image: ImageFile) -> Segmentation:
    return result if isinstance(image.source, Path) else replace(result, file_name=f"{image.stem}.png")
