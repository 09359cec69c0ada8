"""Reading small files whole, with a limit on their size."""

import os
import stat
from pathlib import Path

from maskadapter.errors import MaskAdapterError
from maskadapter.system.paths import user_path


def read_text(path: Path, limit: int, refusal: type[MaskAdapterError], what: str = "file") -> str:
    """Read a UTF-8 text file, with or without a byte order mark, as ``read_bytes`` does; others are refused too."""
    try:
        return read_bytes(path, limit, refusal, what).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refusal(f"cannot read {path}: it is not UTF-8 text") from None


def read_bytes(path: Path, limit: int, refusal: type[MaskAdapterError], what: str = "file") -> bytes:
    """Read a file of at most ``limit`` bytes; a video given by mistake is refused and not read.

    path: as a user gives it (see ``user_path``); a pipe is read to its end. what: the file should be, for messages.
    Raises ``refusal``: no such file, an address, a folder, no permission, too many bytes.
    """
    path = user_path(path, refusal)
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            # Pipes and devices state no size and may never end.
            size = facts.st_size if stat.S_ISREG(facts.st_mode) else limit
            content = b"" if size > limit else file.read(size + 1)
    except FileNotFoundError:
        raise refusal(f"no such {what}: {path}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise refusal(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if max(size, len(content)) > limit:
        raise refusal(f"{path} is larger than {limit:,} bytes: a smaller {what} is needed")
    return content
