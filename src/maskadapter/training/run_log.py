"""The log of a training run: ``log.jsonl`` and TensorBoard."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskadapter.errors import MaskAdapterError
from maskadapter.system import json_lines
from maskadapter.system.atomic_files import write_atomically

if TYPE_CHECKING:
    from accelerate import Accelerator


class RunLog:
    """One JSON line for every entry, and the same to TensorBoard where it is installed; the main process writes.

    step: how many steps are done. Later entries in the file are dropped: a run that was killed may have logged steps
    after its newest checkpoint, and they are done again.
    """

    def __init__(self, path: Path, step: int, accelerator: "Accelerator") -> None:
        self._path, self._accelerator = path, accelerator
        self._evaluated: set[int] = set()
        if not accelerator.is_main_process:
            return
        kept: list[dict[str, Any]] = []
        try:
            kept.extend(entry for entry in json_lines.read(path) if entry.get("step", step + 1) <= step)
        except MaskAdapterError as error:
            warnings.warn(f"{error}; the log is kept up to there", stacklevel=2)
        self._evaluated = {entry["step"] for entry in kept if any("evaluation/" in key for key in entry)}
        with write_atomically(path) as temporary:
            temporary.touch()
            for entry in kept:
                json_lines.append(temporary, entry)

    def evaluated(self, step: int) -> bool:
        """Whether an evaluation after this step is in the log."""
        from accelerate.utils import broadcast_object_list

        return bool(broadcast_object_list([step in self._evaluated])[0])

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Append an entry. Numbers that are not finite (a mean over nothing) are left out."""
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        self._accelerator.log(finite, step=step)
        if self._accelerator.is_main_process:
            json_lines.append(self._path, {"step": step, **finite})
