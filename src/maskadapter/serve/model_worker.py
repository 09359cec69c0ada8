"""The thread of a model: it does one piece of work after another, in the order in which they came."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from maskadapter.serve.refusals import Busy, Stopping
from maskadapter.system.memory import return_free_memory

T = TypeVar("T")
_NEW_SHARE = 0.1  # of the last piece of work in the mean of their seconds
_QUIET = 1.0  # seconds without work, after which memory is given back


class ModelWorker:
    """Runs work on a thread of its own behind a bounded queue. capacity: pieces of work that may wait. When there was
    none for a while, memory that nothing uses goes back to the system.

    One thread, because networks on a CPU use all cores by themselves, and a GPU does one thing at a time."""

    def __init__(self, capacity: int) -> None:
        self._capacity, self._closed, self._mean_seconds = capacity, False, 1.0
        self._waiting: OrderedDict[Future[Any], Callable[[], Any]] = OrderedDict()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The pieces of work that have not begun."""
        return len(self._waiting)

    @property
    def is_open(self) -> bool:
        """Whether it takes work."""
        return not self._closed and self._thread.is_alive()

    @property
    def wait_seconds(self) -> float:
        """About how long a piece of work that came now would wait."""
        return (len(self._waiting) + 1) * self._mean_seconds

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Put work at the end of the queue. Canceling the future takes it out again, unless it has begun. Raises Busy
        when the queue is full, Stopping after ``close``."""
        future: Future[T] = Future()
        with self._changed:
            if not self.is_open:
                raise Stopping
            if len(self._waiting) >= self._capacity:
                raise Busy(self.wait_seconds)
            self._waiting[future] = work
            self._changed.notify()
        future.add_done_callback(self._take_out)
        return future

    def close(self, seconds: float = 10.0) -> None:
        """Cancel what waits, take no more, and wait for the work that has begun, at most so many seconds."""
        with self._changed:
            self._closed = True
            waiting = list(self._waiting)
            self._changed.notify()
        for future in waiting:
            future.cancel()
        self._thread.join(seconds)

    def _take_out(self, future: Future[Any]) -> None:
        with self._changed:
            self._waiting.pop(future, None)

    def _may_go_on(self) -> bool:
        return bool(self._waiting) or self._closed

    def _run(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Do the first piece of work that waits, once there is one; whether there may be more. A function of its own,
        so that nothing of the work is kept while there is none."""
        with self._changed:
            quiet = not self._changed.wait_for(self._may_go_on, _QUIET)
        if quiet:
            return_free_memory()
        with self._changed:
            self._changed.wait_for(self._may_go_on)
            if self._closed:
                return False
            future, work = self._waiting.popitem(last=False)
        if not future.set_running_or_notify_cancel():
            return True
        start = time.monotonic()
        try:
            future.set_result(work())
        except BaseException as error:  # belongs to whoever waits for the future
            future.set_exception(error)
        self._mean_seconds += _NEW_SHARE * (time.monotonic() - start - self._mean_seconds)
        return True
