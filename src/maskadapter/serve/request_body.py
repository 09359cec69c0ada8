"""Reading the body of a request: JSON, or a form with files, into fields."""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from maskadapter.serve.refusals import Refusal

_MOST_FIELDS = 20
JSON, FORM = "application/json", "multipart/form-data"
IMAGE, MASKS = "image", "masks"
"""The fields that may be files."""


async def read_fields(request: Request, seconds: float, max_bytes: int) -> dict[str, Any]:
    """The fields of a request, as they came; those of files are bytes, and ``file_name`` is that of the image's file.
    max_bytes: of the body, which ``BodyLimit`` counts while it comes.

    Raises Refusal: 415 for another content type, 400 for a body that is broken, cut or late."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "a compressed body is not read: send it without Content-Encoding")
    if kind not in (JSON, FORM):
        raise Refusal(415, f"content type '{kind:.60}' is not read: {JSON} or {FORM} is needed")
    try:
        async with asyncio.timeout(seconds):
            if kind == FORM:
                return await _from_form(request, max_bytes)
            return await asyncio.to_thread(_from_json, await request.body())
    except TimeoutError:
        raise Refusal(400, f"the body did not arrive within {seconds:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "the request was cut before its body was complete") from None


def file_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with an image in base64, as JSON has it, decoded; a form's is a file already. Raises Refusal, 422."""
    image = fields.get(IMAGE)
    if image is None or isinstance(image, bytes):
        return dict(fields)
    if not isinstance(image, str):
        raise Refusal(422, f"image is of the type {type(image).__name__}: a text in base64 is needed")
    try:
        return {**fields, IMAGE: base64.b64decode(image, validate=True)}
    except (binascii.Error, ValueError):
        raise Refusal(422, "image is not base64: encode the bytes of an image file, without a data: prefix") from None


def _from_json(body: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        fields = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:  # of numbers of thousands of digits and of broken UTF-8 too
        raise Refusal(400, f"the body is not JSON: {error!s:.200}") from None
    if not isinstance(fields, dict):
        raise Refusal(422, "the body is not a JSON object of fields")
    return fields


async def _from_form(request: Request, max_bytes: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    name_of_file = None
    try:
        async with request.form(max_files=2, max_fields=_MOST_FIELDS, max_part_size=max_bytes) as form:
            for name, value in form.multi_items():
                if name in fields:
                    raise Refusal(422, f"the field {name:.60} came more than once")
                if isinstance(value, UploadFile):
                    if name not in (IMAGE, MASKS):
                        raise Refusal(422, f"the field {name:.60} is a file: only {IMAGE} and {MASKS} may be files")
                    fields[name] = await value.read()
                    if name == IMAGE:
                        name_of_file = value.filename
                elif not value:
                    continue  # a browser sends an empty text for a field that was left empty
                elif name == IMAGE:
                    raise Refusal(422, "image is a text: in a form it is a file, with a file name")
                else:
                    fields[name] = _listed(value)
    except (FormParserError, UnicodeError, KeyError, ValueError) as error:
        raise Refusal(400, f"the form is broken: {str(error) or type(error).__name__:.200}") from None
    return {"file_name": name_of_file, **fields}


def _listed(text: str) -> Any:
    """A field of a form: the list that it holds as JSON, else the text itself."""
    if not text.lstrip().startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(422, f"a field starts with [ and is not a list in JSON: {error!s:.200}") from None


def last_part(name: str) -> str:
    """A file's name without folders, at most 255 letters; it is never opened."""
    return PurePosixPath(name.replace("\\", "/")).name[-255:]
