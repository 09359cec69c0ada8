"""The folder for downloads and other files that can be made again."""

import os
import sys
from pathlib import Path

from maskadapter.errors import MaskAdapterError


def cache_folder() -> Path:
    """Return the folder of this project's cache; it need not exist yet.

    ``MASKADAPTER_CACHE``, else ``XDG_CACHE_HOME/maskadapter``, else the system's usual one; an empty variable counts as
    not set. Source: XDG Base Directory Specification.
    Raises MaskAdapterError where the system has no home folder, as in some containers.
    """
    if own := os.environ.get("MASKADAPTER_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "maskadapter"
    try:
        home = Path.home()
    except RuntimeError:
        raise MaskAdapterError("this system has no home folder: set MASKADAPTER_CACHE to a writable one") from None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "maskadapter" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "maskadapter"
    return home / ".cache" / "maskadapter"
