"""Write a folder so that a reader never sees half of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

from maskadapter.errors import MaskAdapterError


@contextmanager
def write_folder_atomically(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``, which must not exist or be empty, that takes its place when the block ends
    without an error. After an error, Ctrl-C included, it is gone. Raises MaskAdapterError, one line, where the system
    refuses (no permission, disk full)."""
    temporary = folder.with_name(f".{folder.name[:40]}-{uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if folder.exists():
                folder.rmdir()
            temporary.rename(folder)
        finally:
            rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise MaskAdapterError(f"cannot write {folder}: {error.strerror or error}") from error
