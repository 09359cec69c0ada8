"""Python's warnings ignored for a while, in threads too."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_lock = RLock()


@contextmanager
def ignored_warnings() -> Iterator[None]:
    """Ignore Python's warnings in the block. One thread at a time: the filters are the process's, and two that set and
    reset them in turns would leave them changed."""
    with _lock, warnings.catch_warnings(action="ignore"):
        yield
