"""Stopping a training run between two steps, by Ctrl-C or SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


class StopSignals:
    """Note the first Ctrl-C or SIGTERM inside the block, in the main thread alone; a second has its usual effect."""

    def __init__(self) -> None:
        self.noted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if current_thread() is main_thread():
            for number in (int(signal.SIGINT), int(signal.SIGTERM)):
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
