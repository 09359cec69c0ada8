"""JSON Lines: one JSON object a line, appended line by line and read back after any interruption."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one entry, in one piece, to a file in a folder that exists. Raises MaskAdapterError if it is refused."""
    append_line(path, json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def append_line(path: Path, line: bytes) -> None:
    """Append one line, with its end, as ``append``."""
    try:
        with path.open("ab", buffering=0) as file:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise MaskAdapterError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a file, in order; none where there is no file.

    A last line without its end, as ``kill -9`` or a full disk leaves it, counts as not written.
    Raises MaskAdapterError, naming the file and the byte, for a line that is not a JSON object.
    """
    return (entry for _, _, entry in read_from(path, 0))


def read_from(path: Path, start: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The entries from byte ``start`` on, each after the bytes at which its line starts and ends. As ``read``."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield start, start + len(line), _entry(line, path, start)
            start += len(line)


def read_at(path: Path, start: int) -> dict[str, Any]:
    """The entry whose line starts at byte ``start``."""
    with path.open("rb") as file:
        file.seek(start)
        return _entry(file.readline(), path, start)


def drop_torn_line(path: Path) -> None:
    """Remove a last line without its end, so that entries start a line. Raises MaskAdapterError if it is refused."""
    try:
        with path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                start = max(0, end - 65_536)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                end = start + newline + 1
                if newline >= 0:
                    break
            file.truncate(end)
    except FileNotFoundError:
        return
    except OSError as error:
        raise MaskAdapterError(f"cannot write {path}: {error.strerror or error}") from error


def _entry(line: bytes, path: Path, start: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise MaskAdapterError(f"{path} is damaged at byte {start:,}: delete it, and run the same command again")
    return entry
