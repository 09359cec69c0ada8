"""Libraries that only some features need, and that are installed as extras of this package."""

from importlib import import_module
from typing import Any

from maskadapter.errors import MaskAdapterError


def load_extra(module: str, extra: str) -> Any:
    """Import a library of an extra. Raises MaskAdapterError, with the command that installs it, where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MaskAdapterError(f"{module} is needed for this: pip install 'maskadapter[{extra}]'") from error
