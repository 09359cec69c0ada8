"""Ctrl-C, and SIGTERM, which batch systems and containers send: noted between two steps, or as an exception."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


class Terminated(KeyboardInterrupt):
    """The exception of SIGTERM, which whatever catches Ctrl-C catches too."""


class StopSignals:
    """Note the first Ctrl-C or SIGTERM inside the block, in the main thread alone; a second has its usual effect,
    unless ``every`` one is only noted."""

    def __init__(self, every: bool = False) -> None:
        self._every = every
        self._numbers: list[int] = []
        self._before: dict[int, Any] = {}

    @property
    def first(self) -> int | None:
        """The number of the first that came."""
        return self._numbers[0] if self._numbers else None

    @property
    def noted(self) -> bool:
        """Whether one came."""
        return bool(self._numbers)

    def interruption(self, message: str) -> KeyboardInterrupt:
        """Return what is to be raised for the one that came, or that came to another process."""
        return (Terminated if self.first == signal.SIGTERM else KeyboardInterrupt)(message)

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
        self._numbers.append(number)
        if not self._every:
            signal.signal(number, self._before[number])


@contextmanager
def finished_first() -> Iterator[None]:
    """Let a short block come to its end before Ctrl-C or SIGTERM has its usual effect."""
    with StopSignals(every=True) as stop:
        yield
    if stop.first is not None:
        signal.raise_signal(stop.first)


@contextmanager
def termination_raised() -> Iterator[None]:
    """Let SIGTERM raise Terminated in the main thread, so that what is open is closed in order, as after Ctrl-C."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def is_termination(stop: BaseException) -> bool:
    """Whether an exception was raised for SIGTERM, or in place of one that was."""
    return isinstance(stop, Terminated) or (stop.__context__ is not None and is_termination(stop.__context__))


def _terminate(number: int, frame: object) -> None:
    raise Terminated
