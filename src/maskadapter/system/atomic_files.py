"""Write files so that a reader never sees half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    is untouched. Raises MaskAdapterError, one line, where the system refuses (no permission, disk full, a folder).
    """
    path = Path(path)
    # The same folder, because a rename is atomic only within one file system; the suffix tells writers the format.
    temporary = path.with_name(f".{path.stem[:40]}-{uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
