"""Libraries of other tools, none of which this package depends on."""

from importlib import import_module
from typing import Any

from maskadapter.errors import MaskAdapterError


def import_library(module: str, package: str) -> Any:
    """Import a module of another tool. Raises MaskAdapterError, one line, where it is not installed or cannot start."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MaskAdapterError(f"{package} is needed for this: pip install {package} ({error})") from error
