"""A running ``maskadapter serve``, and Chromium driven by Playwright with every host but 127.0.0.1 out of reach."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SECONDS = 120  # for the server to load its model, and for the first answer of a busy machine


def chromium() -> str | None:
    """Where the system's Chromium or Chrome is; Playwright's own cannot be downloaded everywhere."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def running_server(*options: str) -> Iterator[str]:
    """The address of a server with the embedded model, which ends with the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "maskadapter", "serve", "--port", str(port), *options]
    process = subprocess.Popen(command, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    try:
        _wait(f"http://127.0.0.1:{port}/readyz", process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(2 * _SECONDS):
        assert process.poll() is None, "the server ended by itself"
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"{address} does not answer")


@contextmanager
def offline_chromium() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", rules])
        yield browser
        browser.close()


@contextmanager
def faultless_page(browser: "Browser", address: str, expected: str = "", **context: Any) -> Iterator["Page"]:
    """The page of the server in a context of its own. At the end it asserts that nothing went wrong unseen: no error in
    the console but those with the words ``expected``, and no request to another host."""
    faults: list[str] = []
    opened = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | context)
    opened.set_default_timeout(1000 * _SECONDS)
    page = opened.new_page()
    page.on("console", lambda message: message.type in ("error", "warning") and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    local = (address[: address.index("/", len("http://"))] + "/", "blob:", "data:")
    page.on("request", lambda request: request.url.startswith(local) or faults.append(f"asked for {request.url}"))
    page.goto(address)
    yield page
    opened.close()
    unexpected = [fault for fault in faults if not expected or expected not in fault]
    assert unexpected == []
