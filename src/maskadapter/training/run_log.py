"""What a run says of itself while it goes on."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from maskadapter.system.atomic_files import write_atomically


class RunLog:
    """One JSON line for every entry, and the same to TensorBoard where it is installed; the first process writes."""

    def __init__(self, path: Path, step: int, accelerator: Accelerator) -> None:
        self._path, self._accelerator = path, accelerator
        self._evaluated: set[int] = set()
        if not accelerator.is_main_process:
            return
        # A run that was killed may have logged steps after its newest checkpoint: they are done again.
        kept = [line for line in _lines(path) if _entry(line).get("step", step + 1) <= step]
        self._evaluated = {entry["step"] for entry in map(_entry, kept) if any("evaluation/" in key for key in entry)}
        with write_atomically(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def evaluated(self, step: int) -> bool:
        """Whether an evaluation after this step is in the log."""
        return bool(broadcast_object_list([step in self._evaluated])[0])

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Numbers that are none (a mean over nothing) are left out."""
        told = {name: value for name, value in numbers.items() if math.isfinite(value)}
        self._accelerator.log(told, step=step)
        if self._accelerator.is_main_process:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **told}) + "\n")


def _entry(line: str) -> dict[str, Any]:
    """A line's content; nothing where it is damaged."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def _lines(path: Path) -> list[str]:
    """The whole lines of a log; the last may have been cut."""
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return lines
