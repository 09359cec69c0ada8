"""Stopping a long run between two steps, by Ctrl-C or SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C or SIGTERM comes; a second signal does what it always does.

    Only a program's main thread may ask for signals; in another the list stays empty.
    """
    received: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, previous[number])

    wanted = (int(signal.SIGINT), int(signal.SIGTERM)) if current_thread() is main_thread() else ()
    for number in wanted:
        previous[number] = signal.getsignal(number)
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
