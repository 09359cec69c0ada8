"""Standard output and standard error that never fail: what cannot be shown decides nothing."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class _Steady:
    """A text stream whose writes never raise: after the first that failed, the rest is dropped."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, do: Any, *given: Any) -> None:
        try:
            do(*given)
        except (OSError, ValueError):  # nobody reads any more, as after | head; a full disk; closed
            with suppress(OSError, ValueError):  # Python flushes what is left at its end, and would fail there
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)


@contextmanager
def steady_output() -> Iterator[None]:
    """Let nothing that is printed in the block fail: a closed pipe, a full disk, characters the console does not have.

    Such characters are shown as ``?`` on standard output (cp1252 is usual on Windows) and escaped on standard error.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        if getattr(stream, "errors", "") == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.stdout, sys.stderr = (None if stream is None else _Steady(stream) for stream in before)  # type: ignore[assignment]
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
