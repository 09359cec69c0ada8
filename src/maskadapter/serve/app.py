"""The whole service as an ASGI application."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from maskadapter.errors import MaskAdapterError
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.serve.endpoints import endpoints
from maskadapter.serve.guards import Guards
from maskadapter.serve.metrics import Counted, Metrics
from maskadapter.serve.served_model import ServedModel
from maskadapter.serve.service import Service
from maskadapter.serve.settings import Settings
from maskadapter.serve.site import documentation, site

_DESCRIPTION = (
    "Segments images into classes that are given as text, and classifies masks. Bodies are JSON or a form with files. "
    "Everything that goes wrong is answered by one sentence, in `error`."
)


def create_app(
    model: OpenVocabularySegmenter,
    served: ServedModel,
    settings: Settings | None = None,
    routers: Sequence[APIRouter] = (),
    other: OpenVocabularySegmenter | None = None,
) -> FastAPI:
    """The service of a model, to be run by any ASGI server, in one process. ``app.state.service`` is its ``Service``.

    served: what it says about the model. routers: further endpoints; one with a prefix asks for the token itself. Plain
    functions among them may call ``service.segment_pixels``. other: the same model with another pooler, to compare."""
    settings = settings or Settings()
    service = Service(model, served, settings, other)
    metrics = Metrics(service)
    app = FastAPI(
        title="maskadapter",
        version=version("maskadapter"),
        description=_DESCRIPTION,
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.service = service
    for router in (endpoints(service, metrics), site(), documentation(app), *routers):
        app.include_router(router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(MaskAdapterError, _mistaken)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(
        Guards, settings=settings, own_tokens=tuple(f"{router.prefix}/" for router in routers if router.prefix)
    )
    app.add_middleware(Counted, metrics=metrics)
    return app


def _error(status: int, sentence: str, headers: Any = None) -> Response:
    line = " ".join(sentence.split())[:1000]
    return Response(json.dumps({"error": line}), status, headers, "application/json")  # ASCII: any text can be sent


async def _refused(request: Request, error: Any) -> Response:
    sentence = {404: "there is no such address", 405: "this address takes another method"}
    plain = error.detail in ("Not Found", "Method Not Allowed")
    return _error(error.status_code, sentence[error.status_code] if plain else error.detail, error.headers)


async def _invalid(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    return _error(422, f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")


async def _mistaken(request: Request, error: Any) -> Response:
    return _error(422, str(error))


async def _failed(request: Request, error: Any) -> Response:
    return _error(500, "the service failed at this request; its log says why")
