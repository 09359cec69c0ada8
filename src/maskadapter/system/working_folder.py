"""A place in a folder of results for files in the making, and a lock: one run at a time in the folder."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from maskadapter.errors import MaskAdapterError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NAME = ".maskadapter"
"""The hidden folder, in a folder of results, that is there while a run goes on, and after it was killed."""
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_PATIENCE = 20  # tries of a run that need not be alone: another such run is alone for a moment while it removes files


@contextmanager
def working_folder(output: Path, alone: bool) -> Iterator[Path]:
    """Yield a new folder inside ``output / NAME``, gone after the block; what killed runs left there is removed first.

    alone: refuse a second run in ``output``; otherwise, runs that are not alone may go on side by side (not on
    Windows). The system ends the lock with its process, so that a killed run blocks nothing. Files directly in
    ``output / NAME`` are left. Raises MaskAdapterError, one line: another run, a folder that cannot be written.
    """
    new, folder = not output.exists(), output / NAME
    try:
        lock = _lock(folder, alone)
        own = None if lock is None else Path(mkdtemp(dir=folder))
    except OSError as error:
        raise MaskAdapterError(f"cannot write {output}: {error.strerror or error}") from error
    if lock is None or own is None:
        problem = f"another run is writing into {output}"
        raise MaskAdapterError(f"{problem}: wait until it has ended, or choose another folder")
    try:
        yield own
    finally:
        rmtree(own, ignore_errors=True)
        last = _acquire(lock, alone=True)
        if sys.platform == "win32":
            os.close(lock)  # an open file cannot be removed there
        if last:
            with suppress(OSError):  # a run's journal is in it
                (folder / "lock").unlink()
                folder.rmdir()
                if new:
                    output.rmdir()
        if sys.platform != "win32":
            os.close(lock)


def _lock(folder: Path, alone: bool) -> int | None:
    """Open and lock a file, and remove what ended runs left beside it; None where another run holds it."""
    tries = 0
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another run has just ended and removed the folder
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
            first = _acquire(descriptor, alone=True)
            if not first and (alone or not _acquire(descriptor, alone=False)):
                os.close(descriptor)
                tries += 1
                if alone or tries == _PATIENCE:
                    return None
                time.sleep(0.1)
                continue
            if os.path.samestat(os.fstat(descriptor), (folder / "lock").stat()):
                if first:
                    for path in folder.iterdir():
                        if path.is_dir() and not path.is_symlink():
                            rmtree(path, ignore_errors=True)
                    if not alone and sys.platform != "win32":
                        _acquire(descriptor, alone=False)
                return descriptor
            os.close(descriptor)


def _acquire(descriptor: int, alone: bool) -> bool:
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        return error.errno not in _BUSY  # a file system without locks: better a run than none
    return True
