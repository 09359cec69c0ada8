"""Find the images of a plan: in folders, by patterns, in lists, archives and tables, on this computer or elsewhere."""

import logging
import posixpath
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import SUFFIXES
from maskadapter.pipelines.bulk.containers import TABLES, images_in_table, images_in_tar
from maskadapter.pipelines.bulk.places import Place, beside, place_of
from maskadapter.pipelines.bulk.planned_image import PlannedImage, result_name
from maskadapter.system.error_text import first_line

LIST, TAR = ".txt", ".tar"
_PACKED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z")

_log = logging.getLogger(__name__)


def planned_images(
    sources: str | Path | Iterable[str | Path], output: Path, column: str | None = None
) -> Iterator[PlannedImage]:
    """Yield every image of some sources once, in the order of the sources and sorted within each; no image is opened.

    sources: one or several of: an image; a folder, with its subfolders, tar archives and tables, without hidden ones
        and links to folders; a pattern such as ``"photos/**/*.jpg"``; a text file with a path or address a line,
        relative to its folder; a ``.tar``; a ``.parquet`` or ``.arrow`` table. Each is a path or an address.
    output: a folder that is left out. column: of tables, as in ``images_in_table``.
    Of each image 16 bytes stay in memory, to find those that come twice; of a folder the names directly in it. Raises
    MaskAdapterError: nothing there, no images, a storage that cannot be read, an archive or table that cannot be used.
    """
    seen, twice = set[bytes](), 0
    for source in [sources] if isinstance(sources, str | Path) else sources:
        count = 0
        for image in _of_source(place_of(source), str(source), output, column):
            count += 1
            try:
                mark = blake2b(image.path.encode(), digest_size=16).digest()
            except UnicodeEncodeError:
                raise MaskAdapterError(f"a file's name is not UTF-8 text ({image.path!a}): rename it") from None
            if mark in seen:
                twice += 1
                continue
            seen.add(mark)
            yield image
        if not count:
            raise ImageError(f"no images in {source}: {', '.join(SUFFIXES[:6])} and the like are looked for")
    if twice:
        _log.warning("%s images were found twice and count once", f"{twice:,}")


def _of_source(place: Place, given: str, output: Path, column: str | None) -> Iterator[PlannedImage]:
    files, path = place
    try:
        if files.isdir(path):
            yield from _among(files, path, _below(files, path, output.as_posix()), column)
        elif not files.exists(path):
            if {"*", "?", "["}.isdisjoint(path):
                raise ImageError(f"no such file or folder: {given}")
            parts = path.split("/")
            first = next(number for number, part in enumerate(parts) if not {"*", "?", "["}.isdisjoint(part))
            base = "/".join(parts[:first])
            found = (one for one in sorted(files.glob(path)) if not _is_hidden(one, base) and not files.isdir(one))
            yield from _among(files, base, (one for one in found if not _is_inside(one, output)), column)
        else:
            yield from _in_file(place, posixpath.basename(path), column, False)
    except MaskAdapterError:
        raise
    except Exception as error:  # every storage has its own kinds
        raise MaskAdapterError(f"cannot look for images in {given}: {first_line(error)}") from error


def _among(files: Any, base: str, found: Iterable[str], column: str | None) -> Iterator[PlannedImage]:
    """The images among files: themselves and inside archives and tables; others are left out."""
    for path in found:
        if _suffix(path) in (*SUFFIXES, TAR, *TABLES):
            yield from _in_file(Place(files, path), posixpath.relpath(path, base or "."), column, True)


def _in_file(place: Place, name: str, column: str | None, found: bool) -> Iterator[PlannedImage]:
    """The images of one file. name: below the folder that was given."""
    suffix = _suffix(place.path)
    if suffix == TAR:
        yield from images_in_tar(place, name)
    elif suffix in TABLES:
        yield from images_in_table(place, name, column, found)
    elif suffix == LIST:
        yield from _in_list(place)
    elif suffix in _PACKED:
        raise MaskAdapterError(f"{place.address} is compressed: unpack it, to a folder or a .tar, first")
    else:
        yield PlannedImage(place.address, result_name(name), place.address)


def _in_list(place: Place) -> Iterator[PlannedImage]:
    address = place.address
    with place.files.open(place.path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                raise MaskAdapterError(f"cannot read line {number:,} of {address}: it is not UTF-8 text") from None
            if text and not text.startswith("#"):
                path = beside(address, text)
                yield PlannedImage(path, result_name(text), path)


def _below(files: Any, folder: str, skipped: str) -> Iterator[str]:
    for entry in sorted(files.ls(folder, detail=True), key=lambda entry: str(entry["name"])):
        path = str(entry["name"]).rstrip("/")
        if posixpath.basename(path).startswith(".") or path in (skipped, folder.rstrip("/")):
            continue
        link = bool(entry.get("islink"))
        if entry["type"] == "directory" and not link:
            yield from _below(files, path, skipped)
        elif entry["type"] == "file" or (link and not files.isdir(path)):  # others are pipes and devices
            yield path


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _is_hidden(path: str, base: str) -> bool:
    return any(part.startswith(".") for part in path.removeprefix(base).split("/"))


def _is_inside(path: str, folder: Path) -> bool:
    return path.startswith(f"{folder.as_posix()}/")
