"""Stopping a long run between two steps, by Ctrl-C or SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import TracebackType
from typing import Any

_SIGNALS = (int(signal.SIGINT), int(signal.SIGTERM))


class StopSignals:
    """Inside the block, the first Ctrl-C or SIGTERM is noted and nothing else; a second does what it always does.

    Only a program's main thread may ask for signals; in another nothing is ever noted.
    """

    def __init__(self) -> None:
        self.noted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if current_thread() is main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.getsignal(number)
                signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def left_alone(self) -> Iterator[None]:
        """Inside this block signals do what they always do: for work that can be stopped at any time."""
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()

    def _note(self, number: int, sizes: object) -> None:
        self.noted = True
        signal.signal(number, self._before[number])
