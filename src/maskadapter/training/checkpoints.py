"""Checkpoints of a training run: written whole or not at all; the newest sound one is read back."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.error_text import first_line


class Checkpoints:
    """The newest ``keep`` checkpoints in a folder, one file each, of tensors, numbers and texts in nested mappings."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def write(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state after ``step`` steps, and remove the oldest checkpoints. Raises MaskAdapterError."""
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
        for old in [*files[: max(0, done - self._keep)], *files[done:]]:  # newer ones were damaged
            old.unlink()
        return path

    def last(self) -> int:
        """The step of the newest checkpoint, 0 without one."""
        return max(map(_step, self._files()), default=0)

    def newest(self) -> tuple[int, dict[str, Any]] | None:
        """The step and state of the newest checkpoint that can be read, on the CPU; warns of those that cannot."""
        for path in reversed(self._files()):
            try:
                return _step(path), torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # a file that was cut short fails in many ways
                warnings.warn(
                    f"{path} is damaged and passed over ({first_line(error)}): going on from an earlier one",
                    stacklevel=2,
                )
        return None

    def _files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._folder.glob(f"step-{'[0-9]' * 8}.pt"))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
