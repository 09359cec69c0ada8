"""Downloads one file over HTTP, goes on where it was cut off, tries again, and never takes a web page for the file."""

import errno
import json
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import unescape
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from maskadapter.errors import DownloadError
from maskadapter.system import progress

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each further try; one that brought bytes starts the count anew
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20
_SPARE = 64 << 20  # bytes that stay free on the disk
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_UNREACHABLE = (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError)


class _Cut(Exception):
    """The connection ended early, or the server is busy: worth another try."""


@dataclass(frozen=True)
class _Origin:
    """Where the bytes in a ``.part`` file come from; stands beside it as JSON. validator: the server's ETag or date."""

    address: str
    validator: str
    total: int | None  # bytes of the whole file


def fetch(address: str, part: Path, what: str) -> None:
    """Download the whole file at ``address`` to ``part``. Raises DownloadError, one line.

    address: https; http only where the user named the server. what: the file's name in messages and before the bar.
    Bytes that ``part`` holds from an earlier call are kept when the server states that its file is still the same. A
    cut connection and a busy server are tried again. After an error or Ctrl-C ``part`` stays, for the next call.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
        raise DownloadError(f"cannot download {what} from {address}: an address that starts with https:// is needed")
    opener = build_opener(_Redirects(allow_http=address.startswith("http:")))
    tries, most = 0, _size(part)
    while True:
        try:
            with _one_line(what, address, part):
                return _receive(opener, address, part, what)
        except _Cut as cut:
            tries = 0 if _size(part) > most else tries + 1
            most = max(most, _size(part))
            if tries > len(WAITS):
                kept = f"; {most / 1e6:.1f} MB are kept, and the same command goes on from there" * bool(most)
                raise DownloadError(
                    f"cannot download {what} from {_host(address)}: {cut}, {tries} tries{kept}"
                ) from None
            time.sleep(WAITS[max(0, tries - 1)])


def forget(part: Path) -> None:
    """Remove a ``.part`` file and the note of where it came from."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _receive(opener: OpenerDirector, address: str, part: Path, what: str) -> None:
    """Make one request: for the whole file, or for the rest of it."""
    begun = _read_note(part)
    done = _size(part) if begun and begun.address == address else 0
    if begun and done and done == begun.total:
        return
    headers = {"User-Agent": "maskadapter", "Accept-Encoding": "identity"}
    if begun and done:
        headers["Range"] = f"bytes={done}-"
        if begun.validator and not begun.validator.startswith("W/"):
            headers["If-Range"] = begun.validator  # the server sends the whole file if it has changed
    with opener.open(Request(address, headers=headers), timeout=TIMEOUT) as response:
        sent, partial = response.headers, response.status == 206
        if "text/html" in sent.get("Content-Type", ""):
            raise DownloadError(_refusal(what, address, response.read(CHUNK)))
        place = sent.get("Content-Range", "")
        size = place.rpartition("/")[2] if partial else sent.get("Content-Length", "")
        validator = sent.get("ETag") or sent.get("Last-Modified") or ""
        arriving = _Origin(address, validator, int(size) if size.isdecimal() else None)
        # A server may overlook If-Range, or have stated nothing that If-Range could hold.
        if done and partial and not (begun == arriving and place.startswith(f"bytes {done}-")):
            forget(part)
            raise _Cut("the file at the source has changed")
        done = done if partial else 0
        _check_space(part, arriving.total, done)
        if not done:  # else a stop right after the note would leave old bytes under it
            part.unlink(missing_ok=True)
        _note(part).write_text(json.dumps(asdict(arriving)), encoding="utf-8")
        with part.open("ab" if done else "wb") as file, progress.bar(what, arriving.total, done, in_bytes=True) as step:
            _copy(response, file, step)
        if arriving.total is not None and _size(part) != arriving.total:
            raise _Cut("the connection was cut")


def _copy(response: IO[bytes], file: IO[bytes], step: Callable[[int], None]) -> None:
    while True:
        try:
            data = response.read(CHUNK)
        except (OSError, HTTPException) as error:
            raise _Cut(f"the connection was cut ({_reason(error)})") from None
        if not data:
            return
        file.write(data)
        step(len(data))


@contextmanager
def _one_line(what: str, address: str, part: Path) -> Iterator[None]:
    """Turn what can go wrong on the way into a DownloadError, or into a _Cut where another try can help."""
    host = _host(address)
    try:
        yield
    except HTTPError as error:
        with error:
            page = error.read(CHUNK) if "text/html" in error.headers.get("Content-Type", "") else b""
        if error.code == 416:  # our bytes are more than the file has: it is another file now
            forget(part)
            raise _Cut("the file at the source has changed") from None
        if error.code in _TRY_AGAIN:
            raise _Cut(f"{host} answered {error.code} {error.reason}") from None
        if 300 < error.code < 309:
            raise DownloadError(f"cannot download {what}: {host} redirects without end, or to no web address") from None
        raise DownloadError(_refusal(what, address, page, f"{error.code} {error.reason}")) from None
    except TimeoutError:
        raise _Cut(f"{host} was silent for {TIMEOUT:.0f} s") from None
    except URLError as error:
        failure = f"{host} cannot be reached ({_reason(error.reason)})"
        if isinstance(error.reason, _UNREACHABLE):
            advice = "check the network, or HTTPS_PROXY where a proxy is needed"
            raise DownloadError(f"cannot download {what}: {failure}; {advice}") from None
        raise _Cut(failure) from None
    except (HTTPException, ConnectionError) as error:
        raise _Cut(f"{host} gave no proper answer ({_reason(error)})") from None
    except OSError as error:
        full = "; the disk is full: make room or set MASKADAPTER_CACHE" if error.errno == errno.ENOSPC else ""
        raise DownloadError(f"cannot write {part}: {_reason(error)}{full}") from None


class _Redirects(HTTPRedirectHandler):
    """At most five redirects, and none from https to anything else."""

    max_redirections = 5

    def __init__(self, allow_http: bool) -> None:
        self.allow_http = allow_http

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if urlsplit(newurl).scheme not in ("https", "http" if self.allow_http else "https"):
            raise DownloadError(f"{req.host} redirects to {newurl[:80]}, which is not https: nothing was downloaded")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refusal(what: str, address: str, page: bytes, status: str = "") -> str:
    """One line for a web page, or an error, that came instead of the file."""
    html = re.sub(r"<(script|style)\b.*?</\1>", " ", page.decode("utf-8", "replace"), flags=re.DOTALL | re.IGNORECASE)
    host, text = _host(address), " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
    failed, by_hand = f"cannot download {what}: {host}", f"open {address} in a browser, and give the file it saves"
    if "virus" in text.lower():
        return f"{failed} asks to confirm that it did not scan the file for viruses; {by_hand}"
    if "quota" in text.lower() or "too many users" in text.lower():
        return f"{failed} was asked for it by too many people lately (quota exceeded); try again in a day"
    if status.startswith("404"):
        return f"{failed} has no such file ({status}): {address}"
    if status.startswith(("401", "403")):
        return f"{failed} refuses it ({status}); {by_hand}"
    shown = f": '{text[:100].strip()}'" if text else ""
    return f"{failed} sent {status or 'a web page instead of the file'}{shown}; {by_hand}"


def _check_space(part: Path, total: int | None, done: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - done + _SPARE > free:
        lacking = f"{part.parent} has {free / 1e9:.2f} GB left and {(total - done) / 1e9:.2f} GB are needed"
        raise DownloadError(f"{lacking}: make room or set MASKADAPTER_CACHE to a folder on another disk")


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> _Origin | None:
    try:
        return _Origin(**json.loads(_note(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _host(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2]


def _reason(error: BaseException | str) -> str:
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
