"""Finding image files: in folders, by patterns, from standard input; and the names of their results."""

import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, UnidentifiedImageError

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io.images import FORMATS, MAX_PIXELS, read_image
from maskadapter.system.atomic_files import readable

# fmt: off
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm",
    ".pnm", ".avif", ".jp2", ".j2k",
)
# fmt: on
"""Suffixes of image files in a folder or a pattern, in any case. A file given by name may have any suffix."""

MAX_BYTES = 3 * MAX_PIXELS + 1_000_000  # that are read from standard input: the largest image, uncompressed


@dataclass(frozen=True)
class ImageFile:
    """One image to be read.

    source: its path, or the decoded image where it came through standard input. stem: name of its results, without
    suffix; ``"2024/cat"`` for an image in the subfolder 2024 of a given folder.
    """

    source: Path | Image.Image
    stem: str

    @property
    def content(self) -> dict[str, Any]:
        """``size`` in bytes and ``sha256`` of the file, or of the pixels of standard input, to detect that it changed.

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
        return str(self.source) if isinstance(self.source, Path) else "standard input"


def find_image_files(sources: str | Path | Iterable[str | Path], output: str | Path | None = None) -> list[ImageFile]:
    """Find all images in ``sources``: each once, in the order of the sources, sorted within each.

    sources: one or several of: a file, whatever its suffix; a folder: every image in it and its subfolders, without
        hidden files and folders and links to folders; a pattern such as ``"photos/**/*.jpg"``, where no file has that
        name; ``"-"``: the bytes of one image on standard input.
    output: folder of the results, left out inside a folder or pattern of ``sources``: results are not read as images.

    Stems are relative to the folder, or to the part of the pattern before its first wildcard. Where two images would
    share one (``cat.jpg`` and ``cat.png``) both keep their suffix (``"cat.jpg"``).
    Raises MaskAdapterError: no such file, a folder without images or that cannot be read, two images with the same
    result name, ``output`` equal to the folder of the images; ImageError: no image on standard input.
    """
    found: dict[str, tuple[Path | Image.Image, str]] = {}
    for source in [sources] if isinstance(sources, str | Path) else sources:
        if source != "-":
            for path, name in _in_source(source, output):
                found.setdefault(os.path.abspath(path), (path, readable(name)))  # the stem goes into JSON
        elif "-" not in found:
            found["-"] = (_standard_input(), "stdin")
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
    path = Path(source)
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
    except FileNotFoundError:
        raise ImageError(f"no such file or folder: {source}") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot look for images in {source}: {getattr(error, 'strerror', None) or error}") from None
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
    return not hidden and path.suffix.lower() in SUFFIXES and (path.is_file() or not path.exists())


def _standard_input() -> Image.Image:
    if sys.stdin is None or sys.stdin.isatty():
        raise ImageError("- means an image on standard input: add < photo.jpg, or name the file")
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if not data:
        raise ImageError("standard input is empty: the bytes of an image are needed")
    if len(data) > MAX_BYTES:
        raise ImageError(f"standard input has more than {MAX_BYTES:,} bytes: name the image file instead")
    Image.init()
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
            return Image.fromarray(read_image(image))
    except UnidentifiedImageError:
        raise ImageError("not an image that can be read: standard input") from None
    except Image.DecompressionBombError:
        raise ImageError("the image on standard input is too large: name its file instead") from None
    except ImageError as error:
        raise ImageError(f"standard input: {error}") from None
    except Exception as error:  # every decoder raises its own kinds
        raise ImageError(f"damaged image on standard input: {error}") from None
