"""JSON Lines: one JSON object a line, appended line by line and read back after any interruption."""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one entry to a file in one piece. The folder has to exist.

    Raises MaskAdapterError, one line, where the system refuses (no permission, disk full).
    """
    line = _line(entry)
    try:
        with path.open("ab", buffering=0) as file:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise MaskAdapterError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a file, in order; none where there is no file.

    A last line without its end, as ``kill -9`` or a full disk leaves it, counts as not written.
    Raises MaskAdapterError, naming the file and the byte, for a line that is no JSON object.
    """
    place = 0
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise MaskAdapterError(f"{path} is damaged at byte {place:,}: remove the line, or the file")
            yield entry
            place += len(line)


def write(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write a file anew, whole or not at all.

    Raises MaskAdapterError, one line, where the system refuses.
    """
    with write_atomically(path) as temporary:
        temporary.write_bytes(b"".join(map(_line, entries)))


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
