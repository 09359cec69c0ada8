"""A service that listens on a port of this machine, run by a thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(app: Any) -> Iterator[tuple[Any, int]]:
    """Run an ASGI application; gives uvicorn's server and its port."""
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until(lambda: server.started)
        yield server, listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait until a condition holds. Raises AssertionError where it does not within some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)
