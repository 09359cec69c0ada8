"""Text embeddings that were computed before, kept in memory and in a file."""

import hashlib
import sqlite3
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskadapter.system.progress import bar

_BLOCK = 32  # names encoded at a time: what an interruption can lose
_PATIENCE = 30.0  # seconds to wait for another process that writes


class TextCache:
    """One row for each name, remembered under everything else that a row depends on.

    path: the file, made with its folder when something is stored; None keeps rows in memory alone. Several processes
        may use one file. A file that cannot be used (no permission, no space, damaged) is done without: it only saves
        time.
    key: what a row depends on beside the name; see ``fingerprint``. Called when the first row is needed, and again when
        ``stamp``, which is quick, gives another value than before: the weights were changed.
    dim: D, the length of a row.
    """

    def __init__(self, path: Path | None, key: Callable[[], str], stamp: Callable[[], Hashable], dim: int) -> None:
        self._path = path
        self._make_key = key
        self._stamp = stamp
        self._dim = dim
        self._key: str | None = None
        self._stamped: Hashable = None
        self._rows: dict[str, Tensor] = {}

    def rows(self, names: Sequence[str], encode: Callable[[Sequence[str]], Tensor]) -> Tensor:
        """Rows (len(names), dim) float32 on the CPU; ``encode`` is called for the names that were never seen."""
        if (stamp := self._stamp()) != self._stamped:
            self._stamped, self._key, self._rows = stamp, None, {}
        unknown = list(dict.fromkeys(name for name in names if name not in self._rows))
        if unknown:
            self._key = self._key or self._make_key()
            self._rows.update(self._read(unknown))
            unknown = [name for name in unknown if name not in self._rows]
        with bar("encoding words", len(unknown)) as advance:
            for block in _blocks(unknown):
                fresh = dict(zip(block, encode(block).float().cpu(), strict=True))
                self._rows.update(fresh)
                self._write(fresh)
                advance(len(block))
        return torch.stack([self._rows[name] for name in names])

    def _read(self, names: Sequence[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        try:
            if self._path is None or not self._path.is_file():
                return found
            with closing(self._open()) as database:
                for block in _blocks(names):
                    marks = ", ".join("?" * len(block))
                    query = f"SELECT name, row FROM text WHERE key = ? AND name IN ({marks})"
                    for name, row in database.execute(query, (self._key, *block)):
                        if isinstance(row, bytes) and len(row) == 4 * self._dim:
                            found[name] = torch.from_numpy(np.frombuffer(row, dtype="<f4").copy())
        except (sqlite3.Error, OSError):  # the names are encoded anew
            pass
        return found

    def _write(self, rows: Mapping[str, Tensor]) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS text (key TEXT, name TEXT, row BLOB, PRIMARY KEY (key, name))"
                )
                database.executemany(
                    "INSERT OR REPLACE INTO text VALUES (?, ?, ?)",
                    [(self._key, name, row.numpy().astype("<f4").tobytes()) for name, row in rows.items()],
                )
        except (sqlite3.Error, OSError) as error:
            if type(error) is sqlite3.DatabaseError:  # damaged for good: the next process starts a new file
                self._path.unlink(missing_ok=True)
            self._path = None

    def _open(self) -> sqlite3.Connection:
        assert self._path is not None
        return sqlite3.connect(self._path, timeout=_PATIENCE)


def fingerprint(tensors: Mapping[str, Tensor], *facts: str) -> str:
    """A hash of named tensors, to the last bit, and of facts beside them."""
    digest = hashlib.sha256(repr(facts).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().cpu().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _blocks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BLOCK):
        yield names[start : start + _BLOCK]
