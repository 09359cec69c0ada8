"""One image of a plan: where its bytes are, and what its results are called."""

import re
from typing import Literal, NamedTuple

Kind = Literal["file", "tar", "table"]


class PlannedImage(NamedTuple):
    """path: what identifies the image: a path, an address, or one with ``#`` and the place inside that file. name: of
    its results, with slashes, below any folder. file: the path or address to open. kind: whether ``file`` is the image,
    a tar archive or a table. start: the first byte in the archive, or the row of the table. length: bytes in the
    archive. column: of the table, with a full stop before a field."""

    path: str
    name: str
    file: str
    kind: Kind = "file"
    start: int = 0
    length: int = 0
    column: str = ""


def result_name(given: str) -> str:
    """Return a path or address as a name that stays inside any folder: without protocol, drive and ``..``."""
    parts = re.split(r"[/\\]+", re.sub(r"^([A-Za-z]|[A-Za-z][A-Za-z0-9+.-]+(?=:/)):", "", given))
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "image"
