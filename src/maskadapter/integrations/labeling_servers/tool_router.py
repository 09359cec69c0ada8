"""A router for one labeling tool: whom it answers, and how it refuses."""

import base64
import binascii
import hmac
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from maskadapter.errors import MaskAdapterError

_MEANINGS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is not JSON."},
    401: {"description": "The token is missing or wrong."},
    404: {"description": "There is none of that name."},
    413: {"description": "The body is too large."},
    422: {"description": "A field, an image or a class is not as it has to be."},
    429: {"description": "Too many requests wait: try again after `Retry-After` seconds."},
    503: {"description": "Others are at work, or the service is stopping: try again later."},
    504: {"description": "The work was not done in time."},
}


def tool_router(prefix: str, token: str | None) -> APIRouter:
    """Return a router whose refusals are an HTTPException with one sentence.

    prefix: of its paths. token: where not None, what a client has to show in one of the places that labeling tools
    have for it: ``Authorization: Bearer``, the password of ``Authorization: Basic`` (its user is not looked at), the
    header ``Token``, or ``api_key`` in the query.
    """

    def check(request: Request) -> None:
        if token is not None and not any(hmac.compare_digest(one, token.encode()) for one in _shown(request)):
            needed = "a token is needed: as Bearer token, as the password of Basic, or in the header Token"
            raise HTTPException(401, needed, {"WWW-Authenticate": "Basic"})

    return APIRouter(
        prefix=prefix,
        route_class=_OneSentence,
        dependencies=[Depends(check)],
        tags=[prefix.strip("/")],
        responses=_MEANINGS,
    )


class _OneSentence(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer: Any = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                first = error.errors()[0]
                if first["type"] == "json_invalid":
                    raise HTTPException(400, "the body is not JSON") from None
                place = ".".join(str(part) for part in first["loc"][1:])
                raise HTTPException(422, f"{place or 'the body'}: {first['msg']}") from None
            except MaskAdapterError as error:
                raise HTTPException(422, " ".join(str(error).split())) from None

        return handle


def _shown(request: Request) -> list[bytes]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            value = ""
    shown = (value.strip(), request.headers.get("token"), request.query_params.get("api_key"))
    return [one.encode() for one in shown if one]
