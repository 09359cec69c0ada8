"""Work on many images, one after another, while threads read the next and write the last: failures are collected, and a
stopped run is resumed by its record."""

import logging
import os
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from maskadapter.errors import ImageError, MaskAdapterError, MaskError
from maskadapter.io import ImageFile, InputImage, find_image_files, read_input
from maskadapter.models.sources import given_by_user
from maskadapter.pipelines.encoded_ahead import encoded_ahead
from maskadapter.pipelines.mask_files import MaskedImage, with_masks
from maskadapter.pipelines.run_record import RunRecord
from maskadapter.system.progress import bar, busy
from maskadapter.system.read_ahead import read_ahead
from maskadapter.types import EncodedImage
from maskadapter.vocabulary import Vocabulary, competing_classes

if TYPE_CHECKING:
    from maskadapter.models import OpenVocabularySegmenter

Sources = str | Path | Iterable[str | Path] | Sequence[ImageFile]

Made = TypeVar("Made")
Result = TypeVar("Result")
_Content = Mapping[str, Any]  # what an image is known by
_Written = tuple[Result, TemporaryDirectory[str]]  # with the folder of its files

_LOG = logging.getLogger(__name__)
_LONGEST_NAME = 255  # bytes of a file's name on the usual file systems


@dataclass(frozen=True)
class Report:
    """The outcome of a run over many images.

    done: how many have their files, and before: how many of them already had. failed: name of each image that failed,
    and why. fault: the first error among them that is the program's, not the image's. note: a further remark. kept:
    files below the output folder that are not as they were written, because somebody edited them, and stay as they are.
    """

    done: int
    before: int
    failed: tuple[tuple[str, str], ...]
    fault: Exception | None = None
    note: str = ""
    kept: tuple[str, ...] = ()


def find_images(images: Sources, output: Path | None = None, masks: Any = None) -> list[MaskedImage]:
    """Return the images in sources with their masks. Raises as ``find_image_files`` and ``with_masks``."""
    # An open file would yield its lines. Anything but a file is refused by find_image_files.
    given: list[Any] = [images]
    if isinstance(images, Iterable) and not isinstance(images, str) and not hasattr(images, "read"):
        given = list(images)
    found = [image for image in given if isinstance(image, ImageFile)]
    if len(found) < len(given) or not given:
        found += find_image_files([source for source in given if not isinstance(source, ImageFile)], output)
    return with_masks(found, masks)


def vocabulary_settings(vocabulary: Vocabulary, background: Any, masks: Any) -> dict[str, Any]:
    """Return classes and background for the record, ready for JSON; a built-in background by its name alone."""
    competing = competing_classes(vocabulary, background, given_by_user(masks))
    competing = getattr(competing, "vocabulary", competing)
    return {**asdict(vocabulary), "background": competing and (competing.name or competing.classes)}


def run_over_images(
    segmenter: "OpenVocabularySegmenter",
    run: RunRecord,
    images: Sequence[MaskedImage],
    names: Callable[[ImageFile], Sequence[str]],
    compute: Callable[[MaskedImage, InputImage | EncodedImage], Made],
    write: Callable[[MaskedImage, Made, Path], Result],
    resume: bool,
    on_result: Callable[[Result, list[Path]], object] | None = None,
    check: Callable[[set[str]], object] | None = None,
) -> Report:
    """Do the work for one image after another, with a progress bar, and report.

    While an image is computed, a thread reads the next and another writes the files of the one before, so that at most
    three images are in memory. With a segmenter that is faster with several images at once, as many threads read and
    write, three times as many are in memory, and ``compute`` gets those without masks encoded.

    names: of a finished image's files below the run's folder. compute: makes the result of an image. write: writes its
    files into a folder, under these names, and returns what ``on_result`` gets; then they take their places, but for
    those that somebody edited. An error of the image or its masks, or a fault of the program, is the image's and the
    next one follows; any other MaskAdapterError, such as a full disk, would meet all and is raised. on_result: called
    when the files are in place, in the order of the images; an error in it is logged. check: called before the first
    image with the stems of those that are done. After Ctrl-C there are whole files only, those of the last image that
    was computed too, and the KeyboardInterrupt states how many images are done.
    """
    if resume:
        _refuse_new_names(images, run)
    too_long = {p.stem for p in images if any(len(os.fsencode(Path(n).name)) > _LONGEST_NAME for n in names(p))}
    with busy("comparing with the earlier run"):
        before = run.plan([image for image in images if image.stem not in too_long], names, resume)
    if check is not None:
        check(before)
    so_far = "{:,} of {:,} images are done, --resume goes on from there"
    done, failed, fault = len(before), list[tuple[str, str]](), None
    pending = deque[tuple[MaskedImage, _Content, Future[_Written[Result]]]]()
    together = segmenter.images_together

    def read(image: MaskedImage) -> tuple[_Content, InputImage]:
        if image.stem in too_long:
            raise ImageError(f"{image}: its results would have names that are too long; rename it")
        return image.content if run.recording else {}, read_input(image.source)

    def written(image: MaskedImage, made: Made) -> _Written[Result]:
        folder = TemporaryDirectory(dir=run.staging, ignore_cleanup_errors=True)
        return write(image, made, Path(folder.name)), folder

    def note(image: MaskedImage, error: Exception) -> None:
        nonlocal fault
        line = str(error)
        if isinstance(error, MaskAdapterError) and not isinstance(error, ImageError | MaskError):
            raise MaskAdapterError(f"{error}; {so_far.format(done, len(images))}") from error
        if not isinstance(error, MaskAdapterError):
            line = f"{image}: {type(error).__name__}: {' '.join(line.split())}"
            traceback.clear_frames(error.__traceback__)  # they would keep the image
            fault = fault or error
        failed.append((str(image), line))
        advance(1)

    def publish(image: MaskedImage, content: _Content, writing: "Future[_Written[Result]]") -> Result:
        result, folder = writing.result()
        with folder:
            run.publish(image, content, Path(folder.name))
        return result

    def finish() -> None:
        """Wait for the files of the image that was computed first, and move them to their places."""
        nonlocal done
        wait([pending[0][-1]])
        image, content, writing = pending.popleft()
        try:
            result = publish(image, content, writing)
        except Exception as error:
            note(image, error)
            return
        done += 1
        if on_result is not None:
            try:
                on_result(result, [run.output / name for name in names(image)])
            except Exception as error:
                _LOG.error("%s is done, but its report failed: %s: %s", image, type(error).__name__, error)
        advance(1)

    def start(image: MaskedImage, reading: "Future[tuple[_Content, InputImage | EncodedImage]]") -> None:
        """Compute an image, and hand the result over to be written."""
        try:
            content, pixels = reading.result()
            made = compute(image, pixels)
        except Exception as error:
            while pending:
                finish()
            note(image, error)
        else:
            if len(pending) == together:
                finish()
            pending.append((image, content, writer.submit(written, image, made)))

    todo = (image for image in images if image.stem not in before)
    try:
        with (
            bar("images", len(images), done=done) as advance,
            ThreadPoolExecutor(together, "write") as writer,
            closing(read_ahead(read, todo, together, together)) as ahead,
        ):
            try:
                for image, reading in encoded_ahead(segmenter, ahead, _without_masks):
                    start(image, reading)
            finally:
                while pending:
                    finish()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {so_far.format(done, len(images))}") from None
    return Report(done, len(before), tuple(failed), fault, kept=tuple(sorted(run.kept)))


def _without_masks(image: MaskedImage) -> bool:
    return image.given is None and not image.missing


def _refuse_new_names(images: Sequence[ImageFile], run: RunRecord) -> None:
    """Refuse a new ``cat.png`` beside a recorded ``cat.jpg``: it would change the names of the results of both."""
    now = {image.stem for image in images}
    gone = {stem: entry for stem, entry in run.images.items() if stem not in now}
    for image in (image for image in images if image.stem not in run.images):
        for stem in (stem for stem in gone if image.stem.startswith(f"{stem}.") or stem.startswith(f"{image.stem}.")):
            content = image.content
            if content and all(gone[stem].get(key) == value for key, value in content.items()):
                renamed = f"{image} is in {run.output} as {stem} and would now be called {image.stem}"
                remedy = "rename the image beside it that has nearly the same name, or choose another folder"
                raise MaskAdapterError(f"{renamed}: {remedy}")
