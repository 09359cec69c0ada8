"""A list file names the images of a split, one a line."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from maskadapter.errors import DatasetError
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.text_files import read_text

_MAX_BYTES = 50_000_000


def read_listing(listing: Path, names: Sequence[str], folder: Path) -> list[int]:
    """Return the indices among ``names`` of the images that a list file names, in its order.

    names: paths of images below ``folder``, with suffix. A line holds such a path, with or without its suffix, or the
    image's path from the list file; empty lines and lines that start with # are skipped. Raises DatasetError: no such
    file, no lines, a line that names no image or an image that another line has named.
    """
    stems = [PurePosixPath(name).with_suffix("").as_posix() for name in names]
    times = Counter(stems)
    found = {stem: index for index, stem in enumerate(stems) if times[stem] == 1}
    found |= {name: index for index, name in enumerate(names)}
    chosen: dict[int, str] = {}
    for line in read_text(listing, _MAX_BYTES, DatasetError, "list of images").splitlines():
        name = line.strip().replace("\\", "/")
        if not name or name.startswith("#"):
            continue
        path = listing.parent / name
        inside = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else PurePosixPath(name).as_posix()
        index = found.get(inside)
        if index is None:
            hint = did_you_mean(inside, found, otherwise="paths below that folder are needed, one a line")
            raise DatasetError(f"{listing} names {name[:100]}, which is not one image in {folder}: {hint}")
        if index in chosen:
            raise DatasetError(f"{listing} names one image twice, by {chosen[index]} and {name}: remove a line")
        chosen[index] = name
    if not chosen:
        raise DatasetError(f"{listing} names no images: their paths below {folder} are needed, one a line")
    return list(chosen)
