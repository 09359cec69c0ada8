"""What was counted in each image, in files: one line an image, so that a run can be stopped, split and resumed."""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.system.json_files import write_json

SETTINGS = "settings.json"


class Records:
    """The records in a folder: those of every process that ever wrote there, each in its own ``records-<rank>.jsonl``.

    A line is appended in one piece. A line without its end, as ``kill -9`` or a full disk leaves it, counts as not
    written. Only the places of the records are kept in memory.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._places: dict[int, tuple[Path, int]] = {}
        self._read: dict[Path, int] = {}  # bytes of each file that were looked at

    def settle(self, settings: Mapping[str, Any]) -> None:
        """Hold ``settings`` (ready for JSON) against those of the records that are there, and write them if new.

        Raises MaskAdapterError, naming what differs, where the records were made with others.
        """
        path, now = self.folder / SETTINGS, json.loads(json.dumps(settings))
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            if any(self.folder.glob("records-*.jsonl")):
                raise MaskAdapterError(f"{self.folder} has records and no {SETTINGS}: choose another folder") from None
            write_json(path, now)
            return
        except (OSError, ValueError, TypeError) as error:
            raise MaskAdapterError(f"cannot read {path}: {error}; choose another folder") from None
        other = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if other:
            told = ", ".join(f"{key} was {_short(before.get(key))} and is {_short(now.get(key))}" for key in other)
            raise MaskAdapterError(
                f"{self.folder} was made with other settings ({told}): repeat them to go on, or choose another folder"
            )

    def refuse_earlier(self, rank: int, world: int) -> None:
        """Raise MaskAdapterError for a folder that holds another run, finished or not.

        For runs that nothing tells apart. Records of the other processes of this run may be there already: not those of
        this process, nor those of more processes than it has.
        """
        ranks = {path.stem.removeprefix("records-") for path in self.folder.glob("records-*.jsonl")}
        if (self.folder / "report.json").exists() or ranks - {str(other) for other in range(world) if other != rank}:
            raise MaskAdapterError(
                f"{self.folder} holds an evaluation, and nothing says that it is of the same predictions: choose "
                'another folder, or tell what they depend on, settings={"model": ...}'
            )

    def missing(self, count: int) -> list[int]:
        """Those of the first ``count`` images that had no record at the last ``refresh``."""
        return [index for index in range(count) if index not in self._places]

    def refresh(self) -> None:
        """Look for records written since the last look, by this process or others."""
        for path in sorted(self.folder.glob("records-*.jsonl")):
            start = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._places.setdefault(_index_of(line, path, start), (path, start))
                    start += len(line)
            self._read[path] = start

    def __contains__(self, index: int) -> bool:
        """Whether image ``index`` had its record at the last ``refresh``."""
        return index in self._places

    def write(self, rank: int, records: Iterable[Mapping[str, Any]]) -> Iterator[None]:
        """Append one record after another, each with its ``index``, to the file of a process; a step for each.

        Raises MaskAdapterError for a file that cannot be written.
        """
        path = self.folder / f"records-{rank}.jsonl"
        self.refresh()
        try:
            if path.exists():
                os.truncate(path, self._read[path])  # what was left of a line that was cut off
            for record in records:
                line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                with path.open("ab", buffering=0) as file:
                    if file.write(line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                yield
        except OSError as error:
            raise MaskAdapterError(f"cannot write {path}: {error.strerror or error}") from error

    def read(self, count: int) -> Iterator[dict[str, Any]]:
        """The records of images 0 to ``count`` - 1, in this order."""
        for index in range(count):
            path, start = self._places[index]
            with path.open("rb") as file:
                file.seek(start)
                yield json.loads(file.readline())


def _index_of(line: bytes, path: Path, start: int) -> int:
    try:
        return int(json.loads(line)["index"])
    except (ValueError, KeyError, TypeError):
        raise MaskAdapterError(
            f"{path} is damaged at byte {start:,}: delete it, and the same command does its images again"
        ) from None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
