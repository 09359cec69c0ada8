"""Keep what was counted in each image in files, one line an image, so that a run can be stopped, shared and resumed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.system import json_lines
from maskadapter.system.json_files import write_json

SETTINGS = "settings.json"


class Records:
    """The records in a folder, from every process that ever wrote there, each to its own ``records-<rank>.jsonl``; only
    their places are kept in memory."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._places: dict[int, tuple[Path, int]] = {}
        self._end: dict[Path, int] = {}  # bytes of each file that were read

    def match_settings(self, settings: Mapping[str, Any]) -> None:
        """Write ``settings`` (ready for JSON) to a new folder; MaskAdapterError, naming the differences, where the
        folder's records were made with others."""
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
            changes = ", ".join(f"{key} was {_short(before.get(key))} and is {_short(now.get(key))}" for key in other)
            todo = "repeat them to go on, or choose another folder"
            raise MaskAdapterError(f"{self.folder} was made with other settings ({changes}): {todo}")

    def refuse_earlier(self, rank: int, world_size: int) -> None:
        """Raise MaskAdapterError for a folder that holds another run, finished or not: for runs without settings to
        compare. Only records of the other processes of this run may be there already."""
        ranks = {path.stem.removeprefix("records-") for path in self.folder.glob("records-*.jsonl")}
        others = {str(other) for other in range(world_size) if other != rank}
        if (self.folder / "report.json").exists() or ranks - others:
            todo = 'choose another folder, or pass what the predictions depend on, settings={"model": ...}'
            raise MaskAdapterError(f"{self.folder} holds an evaluation, perhaps of other predictions: {todo}")

    def missing(self, count: int) -> list[int]:
        """Those of the first ``count`` images that had no record at the last ``refresh``."""
        return [index for index in range(count) if index not in self._places]

    def refresh(self) -> None:
        """Look for records written since the last look, by this process or others."""
        for path in sorted(self.folder.glob("records-*.jsonl")):
            for start, end, record in json_lines.read_from(path, self._end.get(path, 0)):
                try:
                    self._places.setdefault(int(record["index"]), (path, start))
                except (ValueError, KeyError, TypeError):
                    todo = "delete it, and run the same command again"
                    raise MaskAdapterError(f"{path} has no image's index at byte {start:,}: {todo}") from None
                self._end[path] = end

    def write(self, rank: int, records: Iterable[Mapping[str, Any]]) -> Iterator[None]:
        """Append records, each with its ``index``, to a process's file; MaskAdapterError where the system refuses."""
        path = self.folder / f"records-{rank}.jsonl"
        json_lines.drop_torn_line(path)
        for record in records:
            json_lines.append(path, record)
            yield

    def read(self, count: int) -> Iterator[dict[str, Any]]:
        """The records of images 0 to ``count`` - 1, in this order."""
        return (json_lines.read_at(*self._places[index]) for index in range(count))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
