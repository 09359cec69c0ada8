"""Stopping a training run between two steps, by Ctrl-C or SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

_SIGNALS = (int(signal.SIGINT), int(signal.SIGTERM))


class StopSignals:
    """Catch the first Ctrl-C or SIGTERM inside the block and note it; a second one has its usual effect.

    Only a program's main thread can catch signals; in another thread nothing is ever noted.
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

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def left_alone(self) -> Iterator[None]:
        """Inside this block signals have their usual effect: for work that can be stopped at any time."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def _note(self, number: int, frame: object) -> None:
        self.noted = True
        signal.signal(number, self._before[number])
