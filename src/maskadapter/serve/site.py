"""The web page and the example photos: files of packages, found by their names in a list and in no other way."""

import json
from functools import cache
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response

from maskadapter.serve.refusals import Refusal

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
_INDEX = "index.html"
# Photos of scikit-image that are part of its package.
_EXAMPLES = {
    "camera": "camera.png",
    "cat": "chelsea.png",
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
}


def site() -> APIRouter:
    """The routes of the page, its files, and the example photos."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    def page() -> Response:
        return _reply(_page_files()[_INDEX])

    @router.get("/static/{name}", include_in_schema=False)
    def page_file(name: str) -> Response:
        if name not in _page_files():
            raise Refusal(404, "the page has no such file")
        return _reply(_page_files()[name])

    @router.get("/v1/examples", tags=["about"])
    def list_examples() -> dict[str, list[str]]:
        """The names of the example photos."""
        return {"examples": list(_EXAMPLES)}

    @router.get("/v1/examples/{name}", tags=["about"], response_class=Response, responses={404: {}, 200: _PHOTO})
    def example(name: str) -> Response:
        """An example photo."""
        if name not in _EXAMPLES:
            raise Refusal(404, f"there is no example of that name: choose from {', '.join(_EXAMPLES)}")
        return _reply(files("skimage") / "data" / _EXAMPLES[name])

    return router


_PHOTO: dict[str, Any] = {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The image file."}


@cache
def _page_files() -> dict[str, Traversable]:
    folder = files("maskadapter") / "serve" / "page"
    return {entry.name: entry for entry in folder.iterdir() if entry.is_file() and _suffix(entry.name) in _KINDS}


def _reply(file: Traversable) -> Response:
    headers = {"content-type": _KINDS[_suffix(file.name)], "cache-control": "no-cache"}
    return Response(file.read_bytes(), headers=headers)


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2]}"


def documentation(app: FastAPI) -> APIRouter:
    """``/docs``, a page without scripts from elsewhere, made of ``/openapi.json``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    def docs() -> HTMLResponse:
        return HTMLResponse(_documentation(app.openapi()))

    @router.get("/openapi.json")
    def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    return router


def _documentation(document: dict[str, Any]) -> str:
    parts = [f"<h1>{escape(document['info']['title'])}</h1>", f"<p>{escape(document['info']['description'])}</p>"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2>{method.upper()} {escape(path)}</h2>")
            parts.append(f"<p>{escape(operation.get('description', ''))}</p>")
            for one in operation.get("parameters", ()):
                parts.append(f"<p><b>{escape(one['name'])}</b> {escape(one.get('description', ''))}</p>")
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            fields = content.get("schema", {}).get("properties", {})
            if fields:
                rows = (
                    f"<dt>{escape(name)}</dt><dd>{escape(one.get('description', ''))}</dd>"
                    for name, one in fields.items()
                )
                parts.append(f"<dl>{''.join(rows)}</dl>")
            for name, example in content.get("examples", {}).items():
                shown = escape(json.dumps(example["value"], indent=2))
                parts.append(f"<h3>Example: {escape(name)}</h3><pre>{shown}</pre>")
            statuses = (
                f"<dt>{status}</dt><dd>{escape(reply.get('description', ''))}</dd>"
                for status, reply in operation.get("responses", {}).items()
            )
            parts.append(f"<dl>{''.join(statuses)}</dl>")
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>maskadapter</title>{"".join(parts)}</html>'
