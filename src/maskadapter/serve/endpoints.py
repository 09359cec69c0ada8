"""The endpoints that clients ask, and how openapi.json describes them."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

from maskadapter.models import PoolerName
from maskadapter.serve.metrics import Metrics
from maskadapter.serve.refusals import Refusal
from maskadapter.serve.replies import ErrorReply, ImageReply, SegmentsReply, classes_reply
from maskadapter.serve.requests import ClassifyRequest, ImageRequest, SegmentRequest
from maskadapter.serve.service import Service
from maskadapter.vocabulary import Vocabulary, builtin_names

_MEANINGS = {
    400: "The body is broken, cut or late.",
    401: "The token is missing or wrong.",
    404: "There is none of that name, or it is not kept any more.",
    413: "The body is too large.",
    415: "The content type is not read.",
    422: "A field, an image, a mask or a class is not as it has to be.",
    429: "Too many requests wait: try again after `Retry-After` seconds.",
    503: "The service is stopping.",
    504: "The work was not done in time.",
}
# 16 x 16 black pixels.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAADUlEQVR42mNgGAXIAAABEAABf80DtQAAAABJRU5ErkJggg=="
_ID = "0123456789abcdef0123456789abcdef01234567"


def endpoints(service: Service, metrics: Metrics) -> APIRouter:
    """The routes of a service."""
    router = APIRouter()

    @router.post(
        "/v1/images",
        status_code=201,
        tags=["images"],
        openapi_extra=_body(ImageRequest, {"an image": {"image": _PNG, "file_name": "cat.png"}}),
        responses=_replies({201: ImageReply}, 400, 401, 413, 415, 422, 429, 503, 504),
    )
    async def upload(request: Request) -> Response:
        """Encode an image once, and keep it for further requests."""
        asked = await service.read(request, ImageRequest)
        return JSONResponse(await service.answer(request, partial(service.upload, asked)), 201)

    @router.post(
        "/v1/segment",
        tags=["images"],
        openapi_extra=_body(
            SegmentRequest,
            {
                "an image that was sent": {"image_id": _ID, "classes": "cat, sofa|couch", "output": "png"},
                "an image in base64": {"image": _PNG, "classes": [["sofa", "couch"], "wall"], "score": 0.2},
                "a built-in list": {"image_id": _ID, "classes": "ade20k-150", "mode": "semantic"},
            },
        ),
        responses=_replies({200: SegmentsReply}, 400, 401, 404, 413, 415, 422, 429, 503, 504),
    )
    async def segment(request: Request) -> Response:
        """Segment an image into classes that are given as text."""
        asked = await service.read(request, SegmentRequest)
        return JSONResponse(await service.answer(request, partial(service.segment, asked)))

    @router.post(
        "/v1/classify",
        tags=["images"],
        openapi_extra=_body(
            ClassifyRequest,
            {
                "a polygon": {
                    "image_id": _ID,
                    "classes": "cat, dog",
                    "masks": [[[10, 10, 90, 10, 90, 80, 10, 80]]],
                    "output": "summary",
                }
            },
        ),
        responses=_replies({200: SegmentsReply}, 400, 401, 404, 413, 415, 422, 429, 503, 504),
    )
    async def classify(request: Request) -> Response:
        """Classify masks: one segment for each, in their order, with exactly its pixels."""
        asked = await service.read(request, ClassifyRequest)
        return JSONResponse(await service.answer(request, partial(service.classify, asked)))

    @router.get(
        "/v1/images/{id}/segments/{n}/maps",
        tags=["images"],
        response_class=Response,
        responses=_replies({}, 401, 404, 422, 429, 503, 504)
        | {200: {"content": {"image/png": {}}, "description": "A PNG in gray, at most 1024 pixels wide and high."}},
    )
    async def maps(
        request: Request,
        image_id: Annotated[str, Path(alias="id", max_length=100)],
        proposal: Annotated[int, Path(alias="n", description="`proposal` of a segment.", ge=0, lt=2**31)],
        number: Annotated[
            int | None, Query(alias="map", description="One of the maps; without it their mean.", ge=0, lt=2**31)
        ] = None,
        pooler: Annotated[PoolerName | None, Query(description="As of `POST /v1/classify`.")] = None,
    ) -> Response:
        """Where the model pools for a proposal: white for the highest weight."""
        image = await service.answer(request, partial(service.map_of, image_id, proposal, number, pooler))
        return Response(image, media_type="image/png")

    @router.get("/v1/models", tags=["about"], responses=_replies({}, 401))
    def models() -> dict[str, Any]:
        """The model that runs, and how to get a better one."""
        return {"models": [service.served.summary()]}

    @router.get("/v1/vocabularies", tags=["about"], responses=_replies({}, 401))
    def vocabularies() -> dict[str, Any]:
        """The built-in lists of classes."""
        rows = [{"name": name, "size": len(Vocabulary.builtin(name))} for name in builtin_names()]
        return {"vocabularies": rows}

    @router.get("/v1/vocabularies/{name}", tags=["about"], responses=_replies({}, 401, 404))
    def vocabulary(name: str) -> dict[str, Any]:
        """The classes of a built-in list."""
        if name not in builtin_names():
            raise Refusal(404, f"there is no built-in list of that name: choose from {', '.join(builtin_names())}")
        found = Vocabulary.builtin(name)
        rows = zip(classes_reply(found), found.classes, strict=True)
        return {"name": name, "classes": [{**row, "synonyms": synonyms} for row, synonyms in rows]}

    @router.get("/healthz", tags=["about"])
    def healthz() -> dict[str, str]:
        """Whether the service lives."""
        return {"status": "ok"}

    @router.get("/readyz", tags=["about"], responses=_replies({}, 503))
    def readyz() -> dict[str, str]:
        """Whether the service takes requests."""
        if not service.worker.is_open:
            raise Refusal(503, "the service is stopping")
        return {"status": "ready"}

    @router.get("/metrics", tags=["about"], response_class=PlainTextResponse, responses=_replies({}, 401))
    def read_metrics() -> Response:
        """Requests, their seconds, the queue and the cache, in Prometheus' format."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    return router


def _replies(models: Mapping[int, type[BaseModel]], *statuses: int) -> dict[int | str, dict[str, Any]]:
    good: dict[int | str, dict[str, Any]] = {status: {"model": model} for status, model in models.items()}
    refused = {status: {"model": ErrorReply, "description": _MEANINGS[status]} for status in statuses}
    return good | refused


def _body(kind: type[BaseModel], examples: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The description of a body that is JSON or a form."""
    schema = _in_one_piece(kind.model_json_schema())
    form = {**schema, "properties": {name: _in_form(name, one) for name, one in schema["properties"].items()}}
    content = {
        "application/json": {
            "schema": schema,
            "examples": {name: {"value": example} for name, example in examples.items()},
        },
        "multipart/form-data": {"schema": form},
    }
    return {"requestBody": {"required": True, "content": content}}


def _in_one_piece(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its definitions where it refers to them: a reference would be looked up in the whole document."""
    definitions = schema.get("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return [resolved(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolved(definitions[part["$ref"].rpartition("/")[2]])
        return {name: resolved(one) for name, one in part.items() if name != "$defs"}

    found: dict[str, Any] = resolved(schema)
    return found


def _in_form(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A field of a form: a file, a number, or a text, which is JSON where it is a list."""
    if schema.get("type") in ("integer", "number"):
        return schema
    kind = {"type": "string", "format": "binary"} if name in ("image", "masks") else {"type": "string"}
    return {**kind, **{key: schema[key] for key in ("description", "default", "enum") if key in schema}}
