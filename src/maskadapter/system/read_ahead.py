"""Read the next items in threads while the present one is worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(
    read: Callable[[Item], Read], items: Iterable[Item], count: int = 1, threads: int = 1
) -> Generator[tuple[Item, "Future[Read]"], None, None]:
    """Yield each item with the future of what ``read`` returns for it, in order; an error of ``read`` is in its item's
    future. count: how many items are read ahead of the caller. The threads have ended when the iterator is closed."""
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    with ThreadPoolExecutor(threads, "read-ahead") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(read, item)))
                if len(waiting) > count:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, unread in waiting:
                unread.cancel()
