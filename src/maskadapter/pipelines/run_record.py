"""The record of a run over many images, ``run.json``: its settings and the version of each image, to resume by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.io import ImageFile
from maskadapter.system.json_files import write_json
from maskadapter.vocabulary import Vocabulary

RECORD = "run.json"
"""The file, in the folder of results, that holds the settings they were made with and their images."""


def vocabulary_settings(vocabulary: Vocabulary, background: Any) -> dict[str, Any]:
    """Return classes and background for the record, ready for JSON; a built-in background by its name alone."""
    if background == "none":
        background = None
    if background is not None:
        competing = Vocabulary.of(getattr(background, "vocabulary", background))
        background = competing.name or competing.classes
    return {**asdict(vocabulary), "background": background}


def with_version(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with this package's version, on which results depend too."""
    return {"maskadapter": version("maskadapter"), **settings}


def read_versions(output: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return stem and version of the images of the run in ``output``; none where there was no run.

    Raises MaskAdapterError where its settings were others, with their names, and for a file that is not a record.
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
        raise MaskAdapterError(f"{path} is not the record of a run: resume needs the folder of one") from None
    now = json.loads(json.dumps(settings))
    other = sorted(key for key in record.keys() | now.keys() if record.get(key) != now.get(key))
    if other:
        raise MaskAdapterError(
            f"{output} was made with other settings ({', '.join(other)}): repeat them to resume, or choose another "
            "folder"
        )
    return versions


def write_record(output: Path, settings: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    """Write the record of a run. versions: of its images, by stem."""
    write_json(output / RECORD, {**settings, "images": dict(sorted(versions.items()))})


def remove_from_record(output: Path, images: Sequence[ImageFile]) -> None:
    """Remove images, whose files a run without a record is about to write, from the record in ``output``, if any."""
    stems = {image.stem for image in images}
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
        kept = {stem: version for stem, version in record["images"].items() if stem not in stems}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return
    if kept != record["images"]:
        write_json(output / RECORD, {**record, "images": kept})


def refuse_new_names(images: Sequence[ImageFile], earlier: Mapping[str, str], output: Path) -> None:
    """Raise MaskAdapterError where results of a recorded image would get another name.

    A new ``cat.png`` beside ``cat.jpg`` changes the names of the results of ``cat.jpg``: both would be there.
    """
    now = {image.stem for image in images}
    gone = {version: stem for stem, version in earlier.items() if stem not in now and version}
    for image in images:
        if image.stem not in earlier and image.version in gone:
            raise MaskAdapterError(
                f"{image} is in {output} as {gone[image.version]} and would now be called {image.stem}: rename "
                "the image beside it that has nearly the same name, or choose another folder"
            )
