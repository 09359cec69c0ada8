"""Files that belong to an image by their name."""

from collections.abc import Sequence
from pathlib import Path


def file_of(folder: Path, name: str, ends: Sequence[str], image: Path | None = None) -> Path | None:
    """Find the file in ``folder`` with the name of an image's path, or else of its stem, and one of the ``ends``; not
    ``image`` itself."""
    path = Path(name).with_suffix("")
    files = (folder / f"{start}{end}" for start in (path, path.name) for end in ends)
    return next((file for file in files if file.is_file() and not (image and file.samefile(image))), None)
