"""Where downloads and other things that can be made again are kept."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The folder of this project's cache; it need not exist yet.

    ``MASKADAPTER_CACHE`` where it is set, else ``XDG_CACHE_HOME/maskadapter``, else the system's usual place.
    Source: XDG Base Directory Specification; an empty variable counts as not set.
    """
    if own := os.environ.get("MASKADAPTER_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "maskadapter"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "maskadapter" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "maskadapter"
    return Path.home() / ".cache" / "maskadapter"
