"""Unpacking GranD: those archives of SA-1B's images and of the annotations that a user has downloaded.

Only images and their annotations are unpacked: SA-1B's own annotations lie beside its images, and an archive of GranD
has those of 250,000 images.
"""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from maskadapter.data.catalog import KnownSet
from maskadapter.data.formats.grand import files_by_stem
from maskadapter.data.prepare.archives import unpack_chosen
from maskadapter.errors import DatasetError
from maskadapter.system.json_files import read_json, write_json

_log = logging.getLogger(__name__)

_MEMBER = re.compile(r"(?:.*/)?(?P<file>(?P<stem>sa_\d+)(?P<suffix>\.jpg|\.json))")
_UNPACKED = "unpacked.json"  # which archives, and how many files they gave: a second call need not read terabytes again


def complete(known: KnownSet, folder: Path, places: Sequence[Path]) -> list[str]:
    """Unpack the archives in ``places`` into ``folder``; return what is missing, in lines for the message.

    Any number of images with an annotation is enough, because nobody published which ones the paper took.
    Raises DatasetError: a damaged archive, a disk that is full.
    """
    layout = known.splits["train"]
    found = [_matching(archive.file, places) for archive in known.archives]
    sizes = {path.name: path.stat().st_size for paths in found for path in paths}
    record = folder / _UNPACKED

    def held() -> tuple[dict[str, str], dict[str, str]]:
        return files_by_stem(folder / layout.images, ".jpg"), files_by_stem(folder / layout.labels, layout.suffix)

    def state() -> dict[str, object]:
        images, labels = held()
        return {"archives": sizes, "images": len(images), "annotations": len(labels)}

    if sizes and not (record.is_file() and read_json(record, DatasetError) == state()):
        for path in found[0]:
            unpack_chosen(path, _choice(".jpg", layout.images, there=held()[0]), folder)
        images, labels = held()
        for path in found[1] if images.keys() - labels.keys() else ():
            unpack_chosen(path, _choice(layout.suffix, layout.labels, there=labels, among=images), folder)
        write_json(record, state())
    images, labels = held()
    both, (photos, annotations) = len(images.keys() & labels.keys()), known.archives
    if both:
        lack = f", {len(images) - both:,} more have no annotation" if both < len(images) else ""
        share = f"2 % of SA-1B, which the paper took, are {layout.count:,}"
        _log.info("train: %s images with an annotation%s; %s", f"{both:,}", lack, share)
        return []
    lines = [] if images else [f"there are no images: {photos.file} comes after a registration at {known.registration}"]
    if images or not found[1]:
        lines.append(f"there are no annotations of the images: {annotations.file} is at {annotations.address}")
    return [*lines, f"put as many as you want into {places[0]}, and run the same command again"]


def _matching(pattern: str, places: Sequence[Path]) -> list[Path]:
    """Return the files of a pattern in some folders, the first of each name."""
    found = [path for place in places if place.is_dir() for path in sorted(place.glob(pattern))]
    return list({path.name: path for path in reversed(found)}.values())[::-1]


def _choice(
    suffix: str, folder: str, there: dict[str, str], among: dict[str, str] | None = None
) -> Callable[[str], str | None]:
    """Choose members of a suffix, in any folder of the archive, but for those that are there already."""

    def place_of(name: str) -> str | None:
        parts = _MEMBER.fullmatch(name)
        if parts is None or parts["suffix"] != suffix or parts["stem"] in there:
            return None
        return f"{folder}/{parts['file']}" if among is None or parts["stem"] in among else None

    return place_of
