"""Paths as a user gives them."""

import os
import re
from pathlib import Path

from maskadapter.errors import MaskAdapterError

# Two letters at least, because C:/ is a drive. Path("https://x") holds one slash.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/|data:[a-z]+/", re.IGNORECASE)


def is_address(given: str | Path) -> bool:
    """Whether a text is an address such as ``https://...`` rather than a path."""
    return _ADDRESS.match(str(given)) is not None


def user_path(given: str | Path, refusal: type[MaskAdapterError]) -> Path:
    """Return the path that a user means: ``~`` and ``~name`` become home folders, where there is such a user.

    Raises ``refusal`` for an address such as ``https://...`` or ``s3://...``.
    """
    if is_address(given):
        shown = str(given) if len(str(given)) <= 100 else f"{str(given)[:100]}..."
        raise refusal(f"{shown} is an address; a path on this computer is needed: download it first")
    return Path(os.path.expanduser(given))
