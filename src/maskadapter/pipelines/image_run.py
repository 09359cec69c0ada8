"""Work on many images, one after another: failures are collected, and a stopped run can be resumed."""

import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import ImageFile, find_image_files
from maskadapter.pipelines.run_record import (
    read_versions,
    refuse_new_names,
    remove_from_record,
    with_version,
    write_record,
)
from maskadapter.system.progress import bar

Sources = str | Path | Iterable[str | Path] | Sequence[ImageFile]

_LONGEST_NAME = 255  # bytes of a file's name on the usual file systems


@dataclass(frozen=True)
class Report:
    """The outcome of a run over many images.

    done: how many have their files, and before: how many of them already had. failed: name of each image that failed,
    and why, one line each. fault: the first error among them that is the program's, not the image's. note: a further
    remark on this run, one line.
    """

    done: int
    before: int
    failed: tuple[tuple[str, str], ...]
    fault: Exception | None = None
    note: str = ""


def find_images(images: Sources, output: Path | None = None) -> list[ImageFile]:
    """Return the images in sources; images that were found before stay as they are."""
    if isinstance(images, str | Path):
        return find_image_files(images, output)
    given = list(images)
    ready = [image for image in given if isinstance(image, ImageFile)]
    if ready and len(ready) == len(given):
        return ready
    return [*ready, *find_image_files([source for source in given if not isinstance(source, ImageFile)], output)]


def refuse_one_map_for_many(masks: Any, images: int) -> None:
    """Raise MaskAdapterError for a file of one image's masks given with many images."""
    if images > 1 and isinstance(masks, Path) and masks.suffix.lower() != ".json":
        raise MaskAdapterError(f"{masks} holds masks of one image, and {images:,} were given: give one COCO JSON file")


def run_over_images(
    images: Sequence[ImageFile],
    output: Path,
    settings: Mapping[str, Any],
    files: Callable[[ImageFile], Sequence[Path]],
    work: Callable[[ImageFile], object],
    resume: bool,
    record: bool,
) -> Report:
    """Do ``work`` for one image after another, with a progress bar, and report.

    settings: what the results depend on, ready for JSON. files: the files that a finished image has; the last of them
    is written last. work: reads the image and writes its files. An ImageError or a fault of the program is the
    image's and the next one follows; any other MaskAdapterError, such as a full disk, would meet all and is raised.
    record: write ``run.json``; otherwise the images are removed from the record of an earlier run.

    An image whose size or time has changed since it was recorded is done again. After Ctrl-C there are whole files
    only, and the KeyboardInterrupt states how many images are done.
    """
    settings = with_version(settings)
    earlier = read_versions(output, settings) if resume else {}
    refuse_new_names(images, earlier, output)
    too_long = {p.stem for p in images if any(len(os.fsencode(file.name)) > _LONGEST_NAME for file in files(p))}
    before = {
        p.stem
        for p in images
        if p.stem not in too_long and earlier.get(p.stem) == p.version and all(file.is_file() for file in files(p))
    }
    todo = [image for image in images if image.stem not in before]
    # Files of other settings would pass for this run's, were it stopped and resumed: they go before the record changes.
    _remove(file for image in todo if image.stem not in too_long for file in files(image))
    if record:
        write_record(output, settings, {**earlier, **{image.stem: image.version for image in images}})
    else:
        remove_from_record(output, images)
    done, failed = len(before), []
    fault: Exception | None = None
    try:
        with bar("images", len(images), done=done) as advance:
            for image in todo:
                try:
                    if image.stem in too_long:
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


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise MaskAdapterError(f"cannot write {file}: {error.strerror}") from None


def _so_far(done: int, total: int) -> str:
    return f"{done:,} of {total:,} images are done, --resume goes on from there"
