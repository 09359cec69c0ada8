"""What every request passes before it reaches an endpoint: the token and the size of its body; and what every reply
carries."""

import hmac
import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskadapter.serve.refusals import Busy, Refusal
from maskadapter.serve.settings import Settings

_FREE = ("/", "/healthz", "/readyz")  # without a token
_FREE_FOLDERS = ("/static/",)
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Guards:
    """Refuses requests without the token or with too large a body, before and while it is read, and adds headers to
    the replies by which a browser asks no other origin for anything."""

    def __init__(self, app: ASGIApp, settings: Settings, own_tokens: tuple[str, ...] = ()) -> None:
        """own_tokens: the folders, such as "/tool/", whose endpoints ask for the token in another way."""
        self._app, self._settings = app, settings
        self._free_folders = (*_FREE_FOLDERS, *own_tokens)
        self._held = 0  # bytes of the bodies of all requests that are at work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken += size
            self._held += size
            if taken > self._settings.max_body_bytes:
                raise self._too_large()
            if self._held > self._settings.max_bodies_bytes:
                raise Busy(1)
            return message

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *(one for one in added if one[0] not in present)]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await _send(guarded, refusal)
            return
        try:
            await self._app(scope, counted, guarded)
        finally:
            self._held -= taken

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = dict(scope["headers"])
        path, token = scope["path"], self._settings.token
        if token is not None and path not in _FREE and not path.startswith(self._free_folders):
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), token.encode()):
                sentence = "a token is needed: send the header Authorization: Bearer TOKEN"
                return Refusal(401, sentence, {"WWW-Authenticate": "Bearer"})
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._settings.max_body_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._settings.max_body_bytes / 1e6:g} MB: send a smaller image")


async def _send(send: Send, refusal: Refusal) -> None:
    body = json.dumps({"error": refusal.detail}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **(refusal.headers or {})}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status_code, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
