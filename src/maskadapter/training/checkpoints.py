"""The states that a training can go on from: written whole or not at all, the newest one that is sound read back."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.error_text import first_line

_NAME = re.compile(r"step-(\d{8})\.pt")


class Checkpoints:
    """The newest ``keep`` states in a folder, one file each.

    A state is a mapping of tensors, numbers and texts, nested as one likes; nothing else can be in it, so that reading
    one executes nothing.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def write(self, step: int, state: Mapping[str, Any]) -> Path:
        """Keep the state after ``step`` steps, and forget the oldest."""
        path = self._folder / f"step-{step:08d}.pt"
        with write_atomically(path) as temporary:
            try:
                torch.save(dict(state), temporary)
            except RuntimeError as error:  # what a full disk becomes in PyTorch's writer
                raise MaskAdapterError(f"cannot write {path}: {first_line(error)}") from None
            if not is_zipfile(temporary):
                raise MaskAdapterError(f"cannot write {path} whole: is the disk full?")
        files = self._files()
        done = files.index(path) + 1
        for old in [*files[: max(0, done - self._keep)], *files[done:]]:  # newer ones were damaged and passed over
            old.unlink()
        return path

    def last(self) -> int:
        """The step of the newest state, 0 where there is none."""
        return max(map(_step, self._files()), default=0)

    def newest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest state that can be read and its step, on the CPU; None where there is none.

        Warns of each damaged one that it passes over.
        """
        for path in reversed(self._files()):
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
                return _step(path), state
            except Exception as error:  # a file that was cut short fails in many ways
                warnings.warn(
                    f"{path} is damaged and passed over ({first_line(error)}): going on from an earlier one",
                    stacklevel=2,
                )
        return None

    def _files(self) -> list[Path]:
        """Oldest first."""
        found = self._folder.glob("step-*.pt") if self._folder.is_dir() else []
        return sorted((path for path in found if _NAME.fullmatch(path.name)), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
