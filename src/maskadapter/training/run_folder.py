"""The folder of a training run: it belongs to one recipe, and holds the run's log and checkpoints."""

import json
import math
import warnings
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import torch
import yaml

from maskadapter.errors import MaskAdapterError, RecipeError
from maskadapter.system import json_lines
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.error_text import first_line
from maskadapter.system.json_files import write_json
from maskadapter.system.run_folder import claim
from maskadapter.training.recipe import AnyRecipe, as_yaml

if TYPE_CHECKING:
    from accelerate import Accelerator

# These may change between two parts of one run: they do not change the weights.
_FREE = ("run.save_every", "run.keep", "run.log_every", "run.checkpoint_blocks", "data.workers", "evaluation")
_LIBRARIES = ("maskadapter", "torch", "open_clip_torch", "timm", "accelerate", "pillow", "numpy")


def claim_run_folder(folder: Path, recipe: AnyRecipe) -> None:
    """Write ``recipe.yaml`` and ``versions.json``. Raises RecipeError where the folder holds another recipe's run."""
    claim(folder, yaml.safe_load(as_yaml(recipe)), "recipe.yaml", RecipeError, _FREE, results="checkpoints")
    versions = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):  # not every stage needs Accelerate
            versions[name] = version(name)
    write_json(folder / "versions.json", versions)


def fingerprint(recipe: AnyRecipe) -> str:
    """A hash that is the same for recipes that give the same weights."""
    content = recipe.model_dump(mode="json")
    for key in _FREE:
        section, _, name = key.partition(".")
        (content[section] if name else content).pop(name or section, None)
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class RunLog:
    """One JSON line for every entry, and the same to TensorBoard where it is installed; the main process writes.

    Entries after ``step`` are dropped: a killed run may have logged steps after its newest checkpoint.
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


class Checkpoints:
    """The newest ``keep`` checkpoints in a folder: written whole or not at all, read without executing anything."""

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
        files = self._files()  # oldest first
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
                reason = first_line(error)
                warnings.warn(
                    f"{path} is damaged and passed over ({reason}): going on from an earlier one", stacklevel=2
                )
        return None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"step-{'[0-9]' * 8}.pt"))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
