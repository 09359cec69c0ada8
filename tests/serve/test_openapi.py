"""The description of the service that is committed is the one that it gives, and every example in it is taken."""

import base64
import io
import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi")

from maskadapter.serve.requests import ClassifyRequest, ImageRequest, SegmentRequest

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"
KINDS = {"/v1/images": ImageRequest, "/v1/segment": SegmentRequest, "/v1/classify": ClassifyRequest}


@pytest.mark.skipif(version("fastapi") < "0.165", reason="the file is written with a newer FastAPI")
def test_the_committed_description_is_that_of_the_service(service):
    committed = json.loads(FILE.read_text(encoding="utf-8"))
    assert service.get("/openapi.json").json() == committed, "run python tools/openapi.py"


@pytest.mark.parametrize("path", KINDS)
def test_examples_are_requests(service, path):
    content = service.get("/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
    for example in content["application/json"]["examples"].values():
        fields = dict(example["value"])
        if "image" in fields:
            fields["image"] = base64.b64decode(fields["image"], validate=True)
            assert Image.open(io.BytesIO(fields["image"])).size == (16, 16)
        KINDS[path].model_validate(fields)
    assert set(content["multipart/form-data"]["schema"]["properties"]) == set(KINDS[path].model_fields)


def test_every_refusal_is_described(service):
    document = service.get("/openapi.json").json()
    for path in KINDS:
        assert {"400", "401", "413", "415", "422", "429", "503", "504"} <= document["paths"][path]["post"][
            "responses"
        ].keys()


def test_every_reference_leads_somewhere(service):
    document = service.get("/openapi.json").json()
    references = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(document)))
    assert references
    for reference in references:
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data"])
@pytest.mark.parametrize("path", ["/v1/segment", "/v1/classify"])
def test_the_description_asks_for_one_image(service, path, kind):
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    content = service.get("/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
    schema = content[kind]["schema"]
    fields = {"classes": "cat", **({"masks": "AAAA"} if "masks" in schema["properties"] else {})}
    for given, fits in (
        ({"image": "AAAA"}, True),
        ({"image_id": "a"}, True),
        ({}, False),
        ({"image": "AAAA", "image_id": "a"}, False),
    ):
        assert validator(schema).is_valid(fields | given) == fits
