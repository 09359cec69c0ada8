"""Doors of rooms that import PyTorch when it is needed, so that a mistake in what was given does not wait for it."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def on_first_use(module: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package: names that it lacks are those of ``module``, imported for the first."""
    package = module.rpartition(".")[0]

    def find(name: str) -> Any:
        # A file inside the package is imported by itself, perhaps while ``module`` is half imported.
        if name.startswith("__") or find_spec(f"{package}.{name}") is not None:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(module), name)

    return find
