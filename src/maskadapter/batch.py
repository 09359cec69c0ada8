"""Many pictures, one after another: results in files, what failed told at the end, and going on after a stop."""

import json
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskadapter.coco import write_json
from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.pictures import Picture, find_pictures
from maskadapter.progress import bar
from maskadapter.segmentation import ENDINGS, Segmentation, check_formats
from maskadapter.vocabulary import BACKGROUND, Vocabulary

Sources = str | Path | Iterable[str | Path] | Sequence[Picture]

RECORD = "run.json"
"""The file, in the folder of results, that says which settings they were made with and of which pictures."""


_LONGEST_NAME = 255  # bytes of a file's name on the usual file systems


@dataclass(frozen=True)
class Report:
    """What became of many pictures.

    done: how many have their files, and before: how many of them already had. failed: name of each picture that could
    not be done, and why, one line each. fault: the first error among them that is the program's, not the picture's.
    note: what else there is to say of this run, one line.
    """

    done: int
    before: int
    failed: tuple[tuple[str, str], ...]
    fault: Exception | None = None
    note: str = ""


def segment_each(
    segmenter: OpenVocabularySegmenter,
    pictures: Sources,
    classes: Any,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    on_error: Callable[[Picture, ImageError], object] | None = None,
) -> Iterator[tuple[Picture, Segmentation]]:
    """Segment one picture after another, each when it is asked for; nothing is kept.

    pictures: what ``find_pictures`` takes or returned. classes, things, background: as in
    ``segmenter.segment``. on_error: called with a picture that cannot be read and the reason, and the next one follows;
    without it the error is raised.
    """
    encoded = segmenter.encode(classes, things)
    for picture in found(pictures):
        try:
            result = _segment(segmenter, picture, encoded, background)
        except ImageError as error:
            if on_error is None:
                raise
            on_error(picture, error)
            continue
        yield picture, result
        del result  # before the next one is computed


def segment_pictures(
    segmenter: OpenVocabularySegmenter,
    pictures: Sources,
    classes: Any,
    output: str | Path,
    formats: str | Sequence[str] = ("overlay", "labels"),
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    on_result: Callable[[Segmentation, list[Path]], object] | None = None,
) -> Report:
    """Segment many pictures and save each result below ``output``, named by the picture's stem.

    pictures: what ``find_pictures`` takes or returned. classes, things, background: as in ``segmenter.segment``;
    formats: as in ``Segmentation.save``. resume: leave out the pictures whose files an earlier run with the same
    settings wrote; without it they are written anew. settings: what else the results depend on, for ``resume`` to
    compare: the model's name, for example. on_result: called with every result and the paths of its files.

    One result is in memory at a time. For more than one picture the settings are recorded in ``run.json``. A picture
    that fails is reported and the others are done.

    Raises MaskAdapterError: what ``find_pictures`` raises, an unknown format, other settings than those of the run
    that is resumed, files that cannot be written.
    """
    output, names = Path(output), check_formats(formats)
    todo = found(pictures, output)
    encoded = segmenter.encode(classes, things)
    endings = [ending for name in names for ending in ENDINGS[name]]

    def work(picture: Picture) -> None:
        result = _segment(segmenter, picture, encoded, background)
        paths = result.save(output, names, stem=picture.stem)
        if on_result is not None:
            on_result(result, paths)

    return work_through(
        todo,
        output,
        {
            "command": "segment",
            **(settings or {}),
            **words(encoded.vocabulary, background),
            "formats": names,
        },
        files=lambda picture: [output / f"{picture.stem}{ending}" for ending in endings],
        work=work,
        resume=resume,
        record=resume or len(todo) > 1,
    )


def _segment(
    segmenter: OpenVocabularySegmenter, picture: Picture, encoded: EncodedVocabulary, background: Any
) -> Segmentation:
    result = segmenter.segment(picture.source, encoded, background=background)
    return result if isinstance(picture.source, Path) else replace(result, file_name=f"{picture.stem}.png")


def found(pictures: Sources, output: Path | None = None) -> list[Picture]:
    """The pictures in sources; pictures that were found before stay as they are."""
    if isinstance(pictures, str | Path):
        return find_pictures(pictures, output)
    given = list(pictures)
    ready = [picture for picture in given if isinstance(picture, Picture)]
    if ready and len(ready) == len(given):
        return ready
    return [*ready, *find_pictures([source for source in given if not isinstance(source, Picture)], output)]


def words(vocabulary: Vocabulary, background: Any) -> dict[str, Any]:
    """Classes and background for the record, ready for JSON; a built-in background by its name alone."""
    if background == "none":
        background = None
    if background is not None:
        competing = Vocabulary.of(getattr(background, "vocabulary", background))
        background = competing.name or competing.classes
    return {**asdict(vocabulary), "background": background}


def work_through(
    pictures: Sequence[Picture],
    output: Path,
    settings: Mapping[str, Any],
    files: Callable[[Picture], Sequence[Path]],
    work: Callable[[Picture], object],
    resume: bool,
    record: bool,
) -> Report:
    """Do ``work`` for one picture after another, with a progress bar, and report.

    settings: what the results depend on, ready for JSON. files: what a picture that is done has; the last of them is
    written last. work: reads the picture and writes its files. An ImageError or a fault of the program is the
    picture's and the next one follows; any other MaskAdapterError, such as a full disk, would meet all and is raised.
    record: write ``run.json``; otherwise the pictures are taken off the record of an earlier run.

    A picture whose size or time has changed since it was recorded is done again. After Ctrl-C there are whole files
    only, and the KeyboardInterrupt says how many pictures are done.
    """
    settings = {"maskadapter": version("maskadapter"), **settings}
    earlier = recorded(output, settings) if resume else {}
    _refuse_new_names(pictures, earlier, output)
    unnamable = {p.stem for p in pictures if any(len(os.fsencode(file.name)) > _LONGEST_NAME for file in files(p))}
    before = {
        p.stem
        for p in pictures
        if p.stem not in unnamable and earlier.get(p.stem) == p.version and all(file.is_file() for file in files(p))
    }
    todo = [picture for picture in pictures if picture.stem not in before]
    # Files of other settings would pass for this run's, were it stopped and resumed: they go before the record changes.
    _remove(file for picture in todo if picture.stem not in unnamable for file in files(picture))
    if record:
        versions = {**earlier, **{picture.stem: picture.version for picture in pictures}}
        write_json(output / RECORD, {**settings, "pictures": dict(sorted(versions.items()))})
    else:
        _take_off_record(output, pictures)
    done, failed = len(before), []
    fault: Exception | None = None
    try:
        with bar("pictures", len(pictures), done=done) as advance:
            for picture in todo:
                try:
                    if picture.stem in unnamable:
                        raise ImageError(f"{picture}: its results would have names that are too long; rename it")
                    work(picture)
                    done += 1
                except ImageError as error:
                    failed.append((str(picture), str(error)))
                except MaskAdapterError as error:
                    raise MaskAdapterError(f"{error}; {_so_far(done, len(pictures))}") from error
                except Exception as error:
                    line = " ".join(str(error).split())
                    failed.append((str(picture), f"{picture}: {type(error).__name__}: {line}"))
                    traceback.clear_frames(error.__traceback__)  # they would keep the picture
                    fault = fault or error
                advance(1)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {_so_far(done, len(pictures))}") from None
    return Report(done, len(before), tuple(failed), fault)


def recorded(output: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Stem and version of the pictures that the run in ``output`` was about; none where there was no run.

    Raises MaskAdapterError where its settings were others, naming them, and for a file that is no record.
    """
    path = output / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        versions = dict(record.pop("pictures"))
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


def _refuse_new_names(pictures: Sequence[Picture], earlier: Mapping[str, str], output: Path) -> None:
    """A new ``cat.png`` beside ``cat.jpg`` changes what the results of ``cat.jpg`` are called: both would be there."""
    now = {picture.stem for picture in pictures}
    gone = {version: stem for stem, version in earlier.items() if stem not in now and version}
    for picture in pictures:
        if picture.stem not in earlier and picture.version in gone:
            raise MaskAdapterError(
                f"{picture} is in {output} as {gone[picture.version]} and would now be called {picture.stem}: rename "
                "the picture beside it that has nearly the same name, or choose another folder"
            )


def _take_off_record(output: Path, pictures: Sequence[Picture]) -> None:
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
        kept = {stem: version for stem, version in record["pictures"].items() if stem not in {p.stem for p in pictures}}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return  # there is none
    if kept != record["pictures"]:
        write_json(output / RECORD, {**record, "pictures": kept})


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise MaskAdapterError(f"cannot write {file}: {error.strerror}") from None


def _so_far(done: int, total: int) -> str:
    return f"{done:,} of {total:,} pictures are done, --resume goes on from there"
