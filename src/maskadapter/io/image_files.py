"""Finding image files: in folders, by patterns, from standard input; and the names of their results."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io.images import read_image, read_stream
from maskadapter.io.open_image import UNREAD, not_read
from maskadapter.system.atomic_files import readable
from maskadapter.system.paths import user_path

# fmt: off
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm",
    ".pnm", ".avif", ".jp2", ".j2k",
)
# fmt: on
"""Suffixes of image files in a folder or a pattern, in any case. A file given by name may have any suffix."""

_STANDARD_INPUT = "stdin"  # the stem of its results

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFile:
    """One image to be read.

    source: its path, or the decoded image where it came through standard input or another pipe, which can be read once.
    stem: name of its results, without
    suffix; ``"2024/cat"`` for an image in the subfolder 2024 of a given folder.
    """

    source: Path | Image.Image
    stem: str

    @property
    def content(self) -> dict[str, Any]:
        """``size`` in bytes and ``sha256`` of the file, or of the pixels of a pipe, to detect that it changed.

        Empty where the file cannot be read.
        """
        if isinstance(self.source, Path):
            with suppress(OSError):  # reported when it is read
                if self.source.is_file():  # a pipe can be read once
                    with self.source.open("rb") as file:
                        size = os.fstat(file.fileno()).st_size
                        return {"size": size, "sha256": file_digest(file, "sha256").hexdigest()}
            return {}
        pixels = self.source.tobytes()
        return {"size": len(pixels), "sha256": sha256(f"{self.source.size}".encode() + pixels).hexdigest()}

    def __str__(self) -> str:
        if isinstance(self.source, Path):
            return str(self.source)
        return "standard input" if self.stem == _STANDARD_INPUT else f"pipe {self.stem}"


def find_image_files(sources: str | Path | Iterable[str | Path], output: str | Path | None = None) -> list[ImageFile]:
    """Find all images in ``sources``: each once, in the order of the sources, sorted within each.

    sources: one or several of: a file, whatever its suffix, or a pipe; a folder: every image in it and its subfolders,
        without hidden files and folders and links to folders; a pattern such as ``"photos/**/*.jpg"``, where no file
        has that name; ``"-"``: the bytes of one image on standard input. ``~`` is the home folder. Image files in a
        folder or pattern that are of a format that is not read, such as HEIC, are named in one line of the log.
    output: folder of the results, left out inside a folder or pattern of ``sources``: results are not read as images.

    Stems are relative to the folder, or to the part of the pattern before its first wildcard. Where two images would
    share one (``cat.jpg`` and ``cat.png``) both keep their suffix (``"cat.jpg"``).
    Raises MaskAdapterError: no such file, a folder without images or that cannot be read, an address, two images with
    the same result name, ``output`` equal to the folder of the images; ImageError: no image in a pipe.
    """
    found: dict[str, tuple[Path | Image.Image, str]] = {}
    for source in [sources] if isinstance(sources, str | Path) else sources:
        if isinstance(source, str) and source == "-":
            if "-" not in found:
                found["-"] = (_standard_input(), _STANDARD_INPUT)
            continue
        for path, name in _in_source(source, output):
            if (key := os.path.abspath(path)) not in found:
                found[key] = (_through_pipe(path) or path, readable(name))  # the stem goes into JSON
    if not found:
        raise ImageError("no images: name a file, a folder, a pattern, or - for standard input")
    places: dict[str, Path | Image.Image] = {}
    for (place, _), stem in zip(found.values(), _stems([name for _, name in found.values()]), strict=True):
        if places.setdefault(stem, place) is not place:
            problem = f"the results of {places[stem]} and {place} would have the same name"
            advice = "give the folder that holds both, or run one after the other with different output folders"
            raise MaskAdapterError(f"{problem}: {advice}")
    return [ImageFile(place, stem) for stem, place in places.items()]


def _stems(names: list[str]) -> list[str]:
    """Remove the suffixes of names, where the rest stays unique, also on a file system that ignores case."""
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    while True:
        times = Counter(stem.casefold() for stem in stems)
        longer = [stem if times[stem.casefold()] == 1 else name for stem, name in zip(stems, names, strict=True)]
        if longer == stems:
            return stems
        stems = longer  # "cat.jpg" may now equal the stem of "cat.jpg.png"


def _in_source(source: str | Path, output: str | Path | None) -> list[tuple[Path, str]]:
    """Return path and name of every image in one source; names are relative and have slashes."""
    if not isinstance(source, str | Path):
        raise ImageError(f"images are looked for in files, folders and patterns, not in {type(source).__name__}")
    path = user_path(source, ImageError)
    if str(source) == "":
        raise ImageError("an empty name is not an image: name a file, a folder or a pattern")
    try:
        if path.is_dir():
            base, candidates = path, _below(path)
        elif path.exists() or not any(map(_is_pattern, path.parts)):
            path.stat()
            return [(path, path.name)]
        else:
            base, candidates = _matching(path)
        results = None if output is None else Path(output).resolve()
        if results is not None and results == base.resolve():
            problem = f"the results would lie among the images in {base}, and the next run would read them as images"
            raise MaskAdapterError(f"{problem}: choose another output folder")
        found = [p for p in sorted(candidates) if _counts(p, base)]
        if results is not None and results.is_relative_to(base.resolve()):
            found = [p for p in found if not p.parent.resolve().is_relative_to(results)]
        unread = [p for p in found if p.suffix.lower() in UNREAD]
        found = [p for p in found if p.suffix.lower() in SUFFIXES]
    except FileNotFoundError:
        raise ImageError(f"no such file or folder: {source}") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot look for images in {source}: {getattr(error, 'strerror', None) or error}") from None
    if unread:
        names = ", ".join(readable(p.name) for p in unread[:3]) + (" ..." if len(unread) > 3 else "")
        count = "1 file was" if len(unread) == 1 else f"{len(unread):,} files were"
        left_out = f"{count} left out: {names} ({not_read([p.suffix for p in unread])})"
        if not found:
            raise ImageError(f"no images in {source} that are read: {left_out}")
        _log.warning("%s: %s", source, left_out)
    if not found:
        raise ImageError(f"no images in {source}: files that end in {', '.join(SUFFIXES)} are looked for")
    return [(p, p.relative_to(base).as_posix()) for p in found]


def _below(folder: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise MaskAdapterError(f"cannot read folder {error.filename}: {error.strerror}") from None

    # os.walk does not follow links to folders, so that a link back up makes no loop.
    for parent, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files)


def _matching(pattern: Path) -> tuple[Path, Iterator[Path]]:
    """Return the part of a pattern before its first wildcard, and the paths that the rest matches below it."""
    first = next(i for i, part in enumerate(pattern.parts) if _is_pattern(part))
    base, rest = Path(*pattern.parts[:first]), pattern.parts[first:]
    # From Python 3.13 on, a final ** matches files too; before, only folders.
    return base, base.glob("/".join([*rest, "*"] if rest[-1] == "**" else rest))


def _is_pattern(part: str) -> bool:
    return not {"*", "?", "["}.isdisjoint(part)


def _counts(path: Path, base: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(base).parts)
    # A broken link is kept and reported later; reading a pipe could wait forever.
    return not hidden and path.suffix.lower() in SUFFIXES + UNREAD and (path.is_file() or not path.exists())


def _standard_input() -> Image.Image:
    if sys.stdin is None or sys.stdin.isatty():
        raise ImageError("- means an image on standard input: add < photo.jpg, or name the file")
    return Image.fromarray(read_stream(sys.stdin.buffer, "standard input"))


def _through_pipe(path: Path) -> Image.Image | None:
    """Read an image from a named pipe, a process substitution or a device; None for other files."""
    if path.is_fifo() or path.is_char_device():
        return Image.fromarray(read_image(path))
    return None
