"""Read the next item in a thread while the present one is worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(
    read: Callable[[Item], Read], items: Iterable[Item]
) -> Generator[tuple[Item, "Future[Read]"], None, None]:
    """Yield each item with the future of what ``read`` returns for it. One thread reads, one item ahead of the caller,
    in order; an error of ``read`` is in the future of its item. The thread has ended when the iterator is closed."""
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(read, item)))
                if len(waiting) > 1:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, unread in waiting:
                unread.cancel()
