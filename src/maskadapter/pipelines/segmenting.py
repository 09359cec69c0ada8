"""Many images, one after another: results in files, what failed told at the end, and going on after a stop."""

import json
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io.image_files import ImageFile, find_image_files
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.results.segmentation import ENDINGS, Segmentation, check_formats
from maskadapter.system.json_files import write_json
from maskadapter.system.progress import bar
from maskadapter.system.renamed import refuse_old_keywords
from maskadapter.types.encoded_image import EncodedImage
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary

Sources = str | Path | Iterable[str | Path] | Sequence[ImageFile]

RECORD = "run.json"
"""The file, in the folder of results, that says which settings they were made with and of which images."""


_LONGEST_NAME = 255  # bytes of a file's name on the usual file systems


@dataclass(frozen=True)
class Report:
    """What became of many images.

    done: how many have their files, and before: how many of them already had. failed: name of each image that could
    not be done, and why, one line each. fault: the first error among them that is the program's, not the image's.
    note: what else there is to say of this run, one line.
    """

    done: int
    before: int
    failed: tuple[tuple[str, str], ...]
    fault: Exception | None = None
    note: str = ""


def segment_each(
    segmenter: OpenVocabularySegmenter,
    images: Sources,
    classes: Any,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    masks: Any = None,
    on_error: Callable[[ImageFile, ImageError], object] | None = None,
) -> Iterator[tuple[ImageFile, Segmentation]]:
    """Segment one image after another, each when it is asked for; nothing is kept.

    images: what ``find_image_files`` takes or returned. classes, things, background, masks: as in
    ``segmenter.segment``. on_error: called with an image that cannot be read and the reason, and the next one follows;
    without it the error is raised.
    """
    vocabulary = segmenter.encode_text(classes, things)
    for image in found(images):
        try:
            encoded = segmenter.encode_image(image.source, masks)
            result = _segment(segmenter, image, encoded, vocabulary, background)
            del encoded
        except ImageError as error:
            if on_error is None:
                raise
            on_error(image, error)
            continue
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
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    on_result: Callable[[Segmentation, list[Path]], object] | None = None,
) -> Report:
    """Segment many images and save each result below ``output``, named by the image's stem.

    images: what ``find_image_files`` takes or returned. classes, things, background, masks: as in
    ``segmenter.segment``; masks from a file are those that it holds for the image's name.
    formats: as in ``Segmentation.save``. resume: leave out the images whose files an earlier run with the same
    settings wrote; without it they are written anew. settings: what else the results depend on, for ``resume`` to
    compare: the model's name, for example. on_result: called with every result and the paths of its files.

    One result is in memory at a time. For more than one image the settings are recorded in ``run.json``. An image
    that fails is reported and the others are done.

    Raises MaskAdapterError: what ``find_image_files`` raises, an unknown format, other settings than those of the run
    that is resumed, files that cannot be written.
    """
    output, names = Path(output), check_formats(formats)
    todo = found(images, output)
    refuse_one_map_for_many(masks, len(todo))
    vocabulary = segmenter.encode_text(classes, things)
    endings = [ending for name in names for ending in ENDINGS[name]]

    def work(image: ImageFile) -> None:
        encoded = segmenter.encode_image(image.source, masks)
        result = _segment(segmenter, image, encoded, vocabulary, background)
        maps = segmenter.activation_maps(encoded, result) if "activations" in names else None
        paths = result.save(output, names, stem=image.stem, activation_maps=maps)
        if on_result is not None:
            on_result(result, paths)

    return work_through(
        todo,
        output,
        {
            "command": "segment",
            **(settings or {}),
            **words(vocabulary.vocabulary, background),
            "formats": names,
        },
        files=lambda image: [output / f"{image.stem}{ending}" for ending in endings],
        work=work,
        resume=resume,
        record=resume or len(todo) > 1,
    )


def _segment(
    segmenter: OpenVocabularySegmenter,
    image: ImageFile,
    encoded: EncodedImage,
    vocabulary: EncodedVocabulary,
    background: Any,
) -> Segmentation:
    result = segmenter.segment(encoded, vocabulary, background=background)
    return result if isinstance(image.source, Path) else replace(result, file_name=f"{image.stem}.png")


def refuse_one_map_for_many(masks: Any, images: int) -> None:
    """Raise MaskAdapterError for a file of one image's masks given with many images."""
    if images > 1 and isinstance(masks, Path) and masks.suffix.lower() != ".json":
        raise MaskAdapterError(f"{masks} holds masks of one image, and {images:,} were given: give one COCO JSON file")


def found(images: Sources, output: Path | None = None) -> list[ImageFile]:
    """The images in sources; images that were found before stay as they are."""
    if isinstance(images, str | Path):
        return find_image_files(images, output)
    given = list(images)
    ready = [image for image in given if isinstance(image, ImageFile)]
    if ready and len(ready) == len(given):
        return ready
    return [*ready, *find_image_files([source for source in given if not isinstance(source, ImageFile)], output)]


def words(vocabulary: Vocabulary, background: Any) -> dict[str, Any]:
    """Classes and background for the record, ready for JSON; a built-in background by its name alone."""
    if background == "none":
        background = None
    if background is not None:
        competing = Vocabulary.of(getattr(background, "vocabulary", background))
        background = competing.name or competing.classes
    return {**asdict(vocabulary), "background": background}


def work_through(
    images: Sequence[ImageFile],
    output: Path,
    settings: Mapping[str, Any],
    files: Callable[[ImageFile], Sequence[Path]],
    work: Callable[[ImageFile], object],
    resume: bool,
    record: bool,
) -> Report:
    """Do ``work`` for one image after another, with a progress bar, and report.

    settings: what the results depend on, ready for JSON. files: what an image that is done has; the last of them is
    written last. work: reads the image and writes its files. An ImageError or a fault of the program is the
    image's and the next one follows; any other MaskAdapterError, such as a full disk, would meet all and is raised.
    record: write ``run.json``; otherwise the images are taken off the record of an earlier run.

    An image whose size or time has changed since it was recorded is done again. After Ctrl-C there are whole files
    only, and the KeyboardInterrupt says how many images are done.
    """
    settings = {"maskadapter": version("maskadapter"), **settings}
    earlier = recorded(output, settings) if resume else {}
    _refuse_new_names(images, earlier, output)
    unnamable = {p.stem for p in images if any(len(os.fsencode(file.name)) > _LONGEST_NAME for file in files(p))}
    before = {
        p.stem
        for p in images
        if p.stem not in unnamable and earlier.get(p.stem) == p.version and all(file.is_file() for file in files(p))
    }
    todo = [image for image in images if image.stem not in before]
    # Files of other settings would pass for this run's, were it stopped and resumed: they go before the record changes.
    _remove(file for image in todo if image.stem not in unnamable for file in files(image))
    if record:
        versions = {**earlier, **{image.stem: image.version for image in images}}
        write_json(output / RECORD, {**settings, "images": dict(sorted(versions.items()))})
    else:
        _take_off_record(output, images)
    done, failed = len(before), []
    fault: Exception | None = None
    try:
        with bar("images", len(images), done=done) as advance:
            for image in todo:
                try:
                    if image.stem in unnamable:
                        raise ImageError(f"{image}: its results would have names that are too long; rename it")
                    work(image)
                    done += 1
                except ImageError as error:
                    failed.append((str(image), str(error)))
                except MaskAdapterError as error:
                    raise MaskAdapterError(f"{error}; {_so_far(done, len(images))}") from error
                except Exception as error:
                    line = " ".join(str(error).split())
                    failed.append((str(image), f"{image}: {type(error).__name__}: {line}"))
                    traceback.clear_frames(error.__traceback__)  # they would keep the image
                    fault = fault or error
                advance(1)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {_so_far(done, len(images))}") from None
    return Report(done, len(before), tuple(failed), fault)


def recorded(output: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Stem and version of the images that the run in ``output`` was about; none where there was no run.

    Raises MaskAdapterError where its settings were others, naming them, and for a file that is no record.
    """
    path = output / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        versions = dict(record.pop("images"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MaskAdapterError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise MaskAdapterError(f"{path} is no record of a run: resume needs the folder of one") from None
    now = json.loads(json.dumps(settings))
    other = sorted(key for key in record.keys() | now.keys() if record.get(key) != now.get(key))
    if other:
        raise MaskAdapterError(
            f"{output} was made with other settings ({', '.join(other)}): repeat them to resume, or choose another "
            "folder"
        )
    return versions


def _refuse_new_names(images: Sequence[ImageFile], earlier: Mapping[str, str], output: Path) -> None:
    """A new ``cat.png`` beside ``cat.jpg`` changes what the results of ``cat.jpg`` are called: both would be there."""
    now = {image.stem for image in images}
    gone = {version: stem for stem, version in earlier.items() if stem not in now and version}
    for image in images:
        if image.stem not in earlier and image.version in gone:
            raise MaskAdapterError(
                f"{image} is in {output} as {gone[image.version]} and would now be called {image.stem}: rename "
                "the image beside it that has nearly the same name, or choose another folder"
            )


def _take_off_record(output: Path, images: Sequence[ImageFile]) -> None:
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
        kept = {stem: version for stem, version in record["images"].items() if stem not in {p.stem for p in images}}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return  # there is none
    if kept != record["images"]:
        write_json(output / RECORD, {**record, "images": kept})


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise MaskAdapterError(f"cannot write {file}: {error.strerror}") from None


def _so_far(done: int, total: int) -> str:
    return f"{done:,} of {total:,} images are done, --resume goes on from there"
