"""Work on many images, one after another: failures are collected, and a stopped run is resumed by its record."""

import json
import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import ImageFile, find_image_files
from maskadapter.system.json_files import write_json
from maskadapter.system.progress import bar
from maskadapter.vocabulary import Vocabulary, competing_classes

Sources = str | Path | Iterable[str | Path] | Sequence[ImageFile]

RECORD = "run.json"
"""The file, in the folder of results, that holds the settings they were made with and the version of each image."""
_LONGEST_NAME = 255  # bytes of a file's name on the usual file systems


@dataclass(frozen=True)
class Report:
    """The outcome of a run over many images.

    done: how many have their files, and before: how many of them already had. failed: name of each image that failed,
    and why. fault: the first error among them that is the program's, not the image's. note: a further remark.
    """

    done: int
    before: int
    failed: tuple[tuple[str, str], ...]
    fault: Exception | None = None
    note: str = ""


def find_images(images: Sources, output: Path | None = None, masks: Any = None) -> list[ImageFile]:
    """Return the images in sources. Raises as ``find_image_files``, and for many images with one image's masks."""
    given = [images] if isinstance(images, str | Path) else list(images)
    found = [image for image in given if isinstance(image, ImageFile)]
    if len(found) < len(given) or not given:
        found += find_image_files([source for source in given if not isinstance(source, ImageFile)], output)
    if len(found) > 1 and isinstance(masks, Path) and masks.suffix.lower() != ".json":
        raise MaskAdapterError(
            f"{masks} has masks of one image, and {len(found):,} were given: give one COCO JSON file"
        )
    return found


def vocabulary_settings(vocabulary: Vocabulary, background: Any) -> dict[str, Any]:
    """Return classes and background for the record, ready for JSON; a built-in background by its name alone."""
    competing = competing_classes(vocabulary, background)
    competing = getattr(competing, "vocabulary", competing)
    return {**asdict(vocabulary), "background": competing and (competing.name or competing.classes)}


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

    settings: what the results depend on, ready for JSON. files: those of a finished image, as written. work: reads the
    image and writes its files. An ImageError or a fault of the program is the image's and the next one follows; any
    other MaskAdapterError, such as a full disk, would meet all and is raised. record: write ``run.json``; otherwise the
    images are removed from the record of an earlier run. An image whose size or time has changed since it was recorded
    is done again. After Ctrl-C there are whole files only, and the KeyboardInterrupt states how many images are done.
    """
    settings = {"maskadapter": version("maskadapter"), **settings}
    earlier = _read_versions(output, settings) if resume else {}
    _refuse_new_names(images, earlier, output)
    too_long = {p.stem for p in images if any(len(os.fsencode(file.name)) > _LONGEST_NAME for file in files(p))}
    same = {p.stem for p in images if p.stem not in too_long and earlier.get(p.stem) == p.version}
    before = {p.stem for p in images if p.stem in same and all(file.is_file() for file in files(p))}
    todo = [image for image in images if image.stem not in before]
    # Files of other settings would pass for this run's, were it stopped and resumed: they go before the record changes.
    for file in (file for image in todo if image.stem not in too_long for file in files(image)):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise MaskAdapterError(f"cannot write {file}: {error.strerror}") from None
    if record:
        versions = earlier | {image.stem: image.version for image in images}
        write_json(output / RECORD, {**settings, "images": dict(sorted(versions.items()))})
    else:
        _remove_from_record(output, images)
    so_far = "{:,} of {:,} images are done, --resume goes on from there"
    done, failed, fault = len(before), list[tuple[str, str]](), None
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
                    raise MaskAdapterError(f"{error}; {so_far.format(done, len(images))}") from error
                except Exception as error:
                    failed.append((str(image), f"{image}: {type(error).__name__}: {' '.join(str(error).split())}"))
                    traceback.clear_frames(error.__traceback__)  # they would keep the image
                    fault = fault or error
                advance(1)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {so_far.format(done, len(images))}") from None
    return Report(done, len(before), tuple(failed), fault)


def _read_versions(output: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Stem and version of the images of an earlier run in ``output``, which must have had the same settings."""
    path = output / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        versions = dict(record.pop("images"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MaskAdapterError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise MaskAdapterError(f"{path} is not the record of a run: resume needs the folder of one") from None
    now = json.loads(json.dumps(settings))
    other = sorted(key for key in record.keys() | now.keys() if record.get(key) != now.get(key))
    if other:
        changed = f"{output} was made with other settings ({', '.join(other)})"
        raise MaskAdapterError(f"{changed}: repeat them to resume, or choose another folder")
    return versions


def _remove_from_record(output: Path, images: Sequence[ImageFile]) -> None:
    """Remove images, whose files a run without a record is about to write, from the record in ``output``, if any."""
    stems = {image.stem for image in images}
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
        kept = {stem: version for stem, version in record["images"].items() if stem not in stems}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return
    if kept != record["images"]:
        write_json(output / RECORD, {**record, "images": kept})


def _refuse_new_names(images: Sequence[ImageFile], earlier: Mapping[str, str], output: Path) -> None:
    """Refuse a new ``cat.png`` beside a recorded ``cat.jpg``: it would change the names of the results of both."""
    now = {image.stem for image in images}
    gone = {version: stem for stem, version in earlier.items() if stem not in now and version}
    for image in images:
        if image.stem not in earlier and image.version in gone:
            renamed = f"{image} is in {output} as {gone[image.version]} and would now be called {image.stem}"
            remedy = "rename the image beside it that has nearly the same name, or choose another folder"
            raise MaskAdapterError(f"{renamed}: {remedy}")
