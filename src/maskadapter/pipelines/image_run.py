"""Work on many images, one after another: failures are collected, and a stopped run is resumed by its record."""

import logging
import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from maskadapter.errors import ImageError, MaskAdapterError, MaskError
from maskadapter.io import ImageFile, find_image_files
from maskadapter.models.sources import given_by_user
from maskadapter.pipelines.mask_files import MaskedImage, with_masks
from maskadapter.pipelines.run_record import RunRecord
from maskadapter.system.progress import bar, busy
from maskadapter.vocabulary import Vocabulary, competing_classes

Sources = str | Path | Iterable[str | Path] | Sequence[ImageFile]

Result = TypeVar("Result")

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
    run: RunRecord,
    images: Sequence[MaskedImage],
    names: Callable[[ImageFile], Sequence[str]],
    work: Callable[[MaskedImage, Path], Result],
    resume: bool,
    on_result: Callable[[Result, list[Path]], object] | None = None,
    check: Callable[[set[str]], object] | None = None,
) -> Report:
    """Do ``work`` for one image after another, with a progress bar, and report.

    names: of a finished image's files below the run's folder. work: reads the image and writes its files into a folder,
    under these names; then they take their places, but for those that somebody edited. An error of the image or its
    masks, or a fault of the program, is the image's and the next one follows; any other MaskAdapterError, such as a
    full disk, would meet all and is raised. on_result: called when the files are in place; an error in it is logged.
    check: called before the first image with the stems of those that are done. After Ctrl-C there are whole files
    only, and the KeyboardInterrupt states how many images are done.
    """
    if resume:
        _refuse_new_names(images, run)
    too_long = {p.stem for p in images if any(len(os.fsencode(Path(n).name)) > _LONGEST_NAME for n in names(p))}
    with busy("comparing with the earlier run"):
        before = run.plan([image for image in images if image.stem not in too_long], names, resume)
    if check is not None:
        check(before)

    def one(image: MaskedImage) -> None:
        content = image.content if run.recording else {}
        with TemporaryDirectory(dir=run.staging, ignore_cleanup_errors=True) as folder:
            result = work(image, Path(folder))
            run.publish(image, content, Path(folder))
        if on_result is not None:
            try:
                on_result(result, [run.output / name for name in names(image)])
            except Exception as error:
                _LOG.error("%s is done, but its report failed: %s: %s", image, type(error).__name__, error)

    so_far = "{:,} of {:,} images are done, --resume goes on from there"
    done, failed, fault = len(before), list[tuple[str, str]](), None
    try:
        with bar("images", len(images), done=done) as advance:
            for image in images:
                if image.stem in before:
                    continue
                try:
                    if image.stem in too_long:
                        raise ImageError(f"{image}: its results would have names that are too long; rename it")
                    one(image)
                    done += 1
                except (ImageError, MaskError) as error:
                    failed.append((str(image), str(error)))
                except MaskAdapterError as error:
                    raise MaskAdapterError(f"{error}; {so_far.format(done, len(images))}") from error
                except Exception as error:
                    failed.append((str(image), f"{image}: {type(error).__name__}: {' '.join(str(error).split())}"))
                    traceback.clear_frames(error.__traceback__)  # they would keep the image
                    fault = fault or error
                advance(1)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {so_far.format(done, len(images))}") from None
    return Report(done, len(before), tuple(failed), fault, kept=tuple(sorted(run.kept)))


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
