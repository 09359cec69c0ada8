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


def check_folder(folder: str | Path, refusal: type[MaskAdapterError] = MaskAdapterError) -> Path:
    """Return the folder that a user means, as ``user_path``. Raises ``refusal`` where it cannot be made or written."""
    path = place = user_path(folder, refusal)
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        reason = "" if place.is_dir() else f"{place} is not a folder"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason or not os.access(place, os.W_OK):
        raise refusal(f"cannot write {folder}: {reason or 'no permission'}")
    return path


def user_path(given: str | Path, refusal: type[MaskAdapterError]) -> Path:
    """Return the path that a user means: ``~`` and ``~name`` become home folders, where there is such a user.

    Raises ``refusal`` for an address such as ``https://...`` or ``s3://...``.
    """
    if is_address(given):
        shown = str(given) if len(str(given)) <= 100 else f"{str(given)[:100]}..."
        raise refusal(f"{shown} is an address; a path on this computer is needed: download it first")
    return Path(os.path.expanduser(given))
