"""Labeling tools ask the same model, and show the token in their own ways."""

import base64

import pytest

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from maskadapter.integrations.labeling_servers import roboflow_routes, x_anylabeling_routes
from maskadapter.serve import ServedModel, Settings, create_app


@pytest.fixture(scope="module")
def client(model):
    def segment(pixels, vocabulary):
        return app.state.service.segment_pixels(pixels, vocabulary)

    routers = [routes(segment, token="secret") for routes in (x_anylabeling_routes, roboflow_routes)]
    app = create_app(model, ServedModel.of(model, "tiny", True), Settings(token="secret"), routers)
    with TestClient(app) as client:
        yield client


def test_a_tool_shows_the_token_in_its_own_way_and_only_there(client):
    assert client.get("/x-anylabeling/v1/models", headers={"Token": "secret"}).status_code == 200
    assert client.get("/x-anylabeling/v1/models", headers={"Token": "wrong"}).status_code == 401
    assert client.get("/x-anylabeling/v1/models").status_code == 401
    assert client.get("/v1/models", headers={"Token": "secret"}).status_code == 401
    assert client.get("/x-anylabeling/../v1/models").status_code in (401, 404)
    assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_a_tool_gets_what_the_model_finds(client, photo):
    image = {"type": "base64", "value": base64.b64encode(photo).decode()}
    asked = {"image": image, "prompts": [{"type": "text", "text": "cat"}], "format": "rle"}
    reply = client.post("/roboflow/sam3/concept_segment?api_key=secret", json=asked)
    assert reply.status_code == 200, reply.text
    (answer,) = reply.json()["prompt_results"]
    assert answer["predictions"]
