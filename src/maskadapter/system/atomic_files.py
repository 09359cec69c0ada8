"""Write files so that a reader never sees half of one."""

import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from maskadapter.errors import MaskAdapterError


def readable(text: str) -> str:
    """Return a file name as text that can be written: bytes in it that are not UTF-8 become U+FFFD."""
    return os.fsencode(text).decode("utf-8", "replace")


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, with its suffix, that replaces it when the block ends without an error.

    A missing folder is made. After an error, Ctrl-C included, the temporary file is gone and what ``path`` held before
    is untouched. What a killed process left in the folder is removed the first time that a process writes into it.
    Raises MaskAdapterError, one line, where the system refuses (no permission, disk full, a folder).
    """
    path = Path(path)
    # The same folder, because a rename is atomic only within one file system; the suffix tells writers the format.
    temporary = path.with_name(f".{path.stem[:40]}-{_computer()}-{os.getpid()}-{uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(os.path.abspath(path.parent))
        try:
            temporary.touch()
            mode = temporary.stat().st_mode  # by the umask; some writers make files that only their owner can read
            yield temporary
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise MaskAdapterError(f"cannot write {path}: {error.strerror or error}") from error


@cache
def _computer() -> str:
    """Eight hexadecimal digits for this computer, because process numbers of another one say nothing here."""
    return sha256(platform.node().encode()).hexdigest()[:8]


@cache
def _remove_leftovers(folder: str) -> None:
    """Remove the temporary files in a folder, ours by their whole name, of processes that have ended."""
    ours = re.compile(rf"\..+-{_computer()}-(\d+)-[0-9a-f]{{8}}(\.[^.]*)?", re.DOTALL)
    for name in os.listdir(folder):
        if (found := ours.fullmatch(name)) and not _runs(int(found[1])):
            with suppress(OSError):
                os.unlink(os.path.join(folder, name))


def _runs(process: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        # Source: Windows API, OpenProcess with SYNCHRONIZE; WaitForSingleObject returns WAIT_TIMEOUT while it runs.
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(0x00100000, False, process)
        running = bool(handle) and kernel.WaitForSingleObject(handle, 0) == 0x102
        kernel.CloseHandle(handle)
        return running
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
