"""Fetching images from one Label Studio, and from nowhere else."""

import json
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.system.error_text import first_line

_CHUNK = 1 << 20
_SECONDS = 60.0  # for one image
_SILENCE = 20.0  # seconds without a byte
_ACCESS = 200.0  # seconds that an access token is used; Label Studio gives it for 5 minutes
_SAFE = "/%:@!$&'()*+,;=~-._?"  # in a path or query; all else is escaped


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Do not go where the answer points."""


class LabelStudioHost:
    """Label Studio's address, and how to be let in."""

    def __init__(self, url: str, api_key: str | None = None, max_bytes: int = 64_000_000) -> None:
        """url: as the browser shows it, ``http://localhost:8080``. api_key: a legacy token or a personal access token
        of an account. max_bytes: of one image. Raises MaskAdapterError for another kind of address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise MaskAdapterError(f"'{url}' is not the address of a Label Studio: http://localhost:8080, say")
        self.url = url.rstrip("/")
        self._site = (parts.scheme, parts.netloc.lower())
        self._key, self._max_bytes = api_key, max_bytes
        self._opener = build_opener(_NoRedirect)
        self._access, self._until, self._lock = "", 0.0, threading.Lock()

    def fetch(self, address: Any) -> bytes:
        """Return the bytes at an address in a task's data: a path on this host, or a whole address of it.

        Raises ImageError: another host or scheme, a redirect, a refusal, more than ``max_bytes``, too slow.
        """
        url = self._own(address)
        try:
            with self._opener.open(Request(url, headers=self._headers()), timeout=_SILENCE) as answer:
                return self._read(answer)
        except HTTPError as error:
            raise ImageError(f"Label Studio answered {error.code} for {url}: {_advice(error.code)}") from None
        except (OSError, HTTPException) as error:
            raise ImageError(f"cannot read {url}: {first_line(error)}") from None

    def _own(self, address: Any) -> str:
        """The address on this host, put together anew so that no other can be meant."""
        shown = f"{address!r:.200}"
        if not isinstance(address, str) or not address.strip():
            raise ImageError(f"the address of the image is {shown}: a path or address of {self.url} is needed")
        try:
            parts = urlsplit(address.strip())
        except ValueError:
            raise ImageError(f"the address of the image cannot be read: {shown}") from None
        if (parts.scheme or parts.netloc) and (parts.scheme, parts.netloc.lower()) != self._site:
            raise ImageError(f"the image is at {shown}: only images of {self.url} are fetched")
        scheme, host = self._site
        path = parts.path if parts.path.startswith("/") else f"{urlsplit(self.url).path}/{parts.path}"
        return f"{scheme}://{host}{quote(path, _SAFE)}" + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")

    def _read(self, answer: Any) -> bytes:
        end, content, stated = time.monotonic() + _SECONDS, bytearray(), answer.headers.get("Content-Length", "")
        while piece := answer.read(_CHUNK):
            content += piece
            if len(content) > self._max_bytes:
                raise ImageError(f"an image in Label Studio has more than {self._max_bytes:,} bytes")
            if time.monotonic() > end:
                raise ImageError(f"Label Studio did not send the image within {_SECONDS:g} s")
        if stated.isdecimal() and len(content) < int(stated):  # reading by pieces does not tell of it
            raise ImageError("the connection to Label Studio was cut")
        return bytes(content)

    def _headers(self) -> Mapping[str, str]:
        if not self._key:
            return {}
        if self._key.count(".") != 2:
            return {"Authorization": f"Token {self._key}"}
        with self._lock:
            if time.monotonic() > self._until:
                self._access, self._until = self._refreshed(self._key), time.monotonic() + _ACCESS
            return {"Authorization": f"Bearer {self._access}"}

    def _refreshed(self, key: str) -> str:
        """Trade a personal access token, a JSON web token, for one that lets in. Source: Label Studio's API."""
        body = json.dumps({"refresh": key}).encode()
        request = Request(f"{self.url}/api/token/refresh/", body, {"Content-Type": "application/json"})
        with self._opener.open(request, timeout=_SILENCE) as answer:
            try:
                return str(json.loads(self._read(answer))["access"])
            except (ValueError, KeyError, TypeError):
                raise ImageError("Label Studio did not trade the personal access token: renew it") from None


def _advice(status: int) -> str:
    if 300 <= status < 400:
        return "it points elsewhere, and redirects are not followed; serve the image from Label Studio itself"
    if status in (401, 403):
        return "set LABEL_STUDIO_API_KEY to the token of an account that may see the project"
    return "there is no image"
