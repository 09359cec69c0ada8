"""How much memory this process takes, as far as the system states it, and what of it is free."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path


def resident_bytes() -> int:
    """Return the bytes of memory that this process holds now; ``peak_bytes`` where the system does not state them."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak_bytes()


def peak_bytes() -> int:
    """Return the most bytes of memory that this process ever held; 0 where the system does not state them (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # KiB but for macOS


def return_free_memory() -> None:
    """Give memory that nothing uses back to the system: glibc keeps it, in case it is asked for again. Does nothing
    elsewhere. Source: malloc_trim(3)."""
    with suppress(OSError, AttributeError, TypeError):  # another C library, or none by that way
        ctypes.CDLL(None).malloc_trim(0)
