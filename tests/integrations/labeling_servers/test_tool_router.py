"""Whom the labeling tools' routes answer, and that a refusal is one sentence."""

import base64
from threading import BoundedSemaphore

import pytest
from fastapi import HTTPException
from labeling_client import client, halves, image_text

from maskadapter.errors import MaskAdapterError
from maskadapter.integrations.labeling_servers import roboflow_routes, sent_image, x_anylabeling_routes
from maskadapter.integrations.labeling_servers.sent_image import from_base64

BASIC = base64.b64encode(b"anyone:s3cret").decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer s3cret"},
        {"Authorization": "Token s3cret"},
        {"Authorization": f"Basic {BASIC}"},
        {"Token": "s3cret"},
    ],
)
def test_a_token_is_taken_where_tools_put_it(headers):
    asked = client(x_anylabeling_routes(halves, token="s3cret"))
    assert asked.get("/x-anylabeling/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Token": ""},
        {"Token": "s3cre"},
        {"Token": "schlüssel".encode()},
        {"Authorization": "Basic s3cret"},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic " + base64.b64encode(b"s3cret:other").decode()},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic " + base64.b64encode(b"anyone:\xff").decode()},
    ],
)
def test_without_it_nothing_is_done(headers):
    asked = client(x_anylabeling_routes(halves, token="s3cret"))
    for answer in (
        asked.get("/x-anylabeling/v1/models", headers=headers),
        asked.post("/x-anylabeling/v1/predict", json={}, headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.json()["detail"].startswith("a token is needed")
        assert answer.headers["WWW-Authenticate"] == "Basic"


def test_roboflows_clients_put_it_into_the_query():
    asked = client(roboflow_routes(halves, token="s3cret"))
    body = {"image": {"type": "base64", "value": image_text()}, "prompts": [{"text": "cat"}]}
    assert asked.post("/roboflow/sam3/concept_segment?api_key=s3cret", json=body).status_code == 200
    assert asked.post("/roboflow/sam3/concept_segment?api_key=other", json=body).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"", 422, "the body: Field required"),
        (b"[]", 422, "the body: "),
        (b'{"model": "maskadapter"}', 422, "image: Field required"),
        (b'{"model": "maskadapter", "image": 7}', 422, "image: Input should be a valid string"),
        (b'{"model": "maskadapter", "image": "", "params": {"conf_threshold": 2}}', 422, "params.conf_threshold: "),
    ],
)
def test_a_refusal_is_one_sentence(body, status, sentence):
    answer = client(x_anylabeling_routes(halves)).post(
        "/x-anylabeling/v1/predict", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status
    detail = answer.json()["detail"]
    assert detail.startswith(sentence)
    assert "\n" not in detail


def test_what_the_service_refuses_reaches_the_client_and_holds_nobody_up():
    busy = [True]

    def segment(pixels, vocabulary):
        if busy:
            raise HTTPException(429, "too many requests wait", {"Retry-After": "7"})
        return halves(pixels, vocabulary)

    asked = client(x_anylabeling_routes(segment))
    body = {"model": "maskadapter", "image": image_text(), "params": {"text_prompt": "cat"}}
    for _ in range(10):  # more than are at work at once
        answer = asked.post("/x-anylabeling/v1/predict", json=body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    busy.clear()
    assert asked.post("/x-anylabeling/v1/predict", json=body).status_code == 200


def test_images_beyond_those_at_work_are_refused_after_a_while(monkeypatch):
    monkeypatch.setattr(sent_image, "_free", BoundedSemaphore(1))
    monkeypatch.setattr(sent_image, "_SECONDS", 0.01)
    body = {"model": "maskadapter", "image": image_text(), "params": {"text_prompt": "cat"}}
    inner = []

    def segment(pixels, vocabulary):
        inner.append(client(x_anylabeling_routes(halves)).post("/x-anylabeling/v1/predict", json=body).status_code)
        return halves(pixels, vocabulary)

    assert client(x_anylabeling_routes(segment)).post("/x-anylabeling/v1/predict", json=body).status_code == 200
    assert inner == [503]


def test_a_reason_of_several_lines_is_one_sentence():
    def segment(pixels, vocabulary):
        raise MaskAdapterError("first\nsecond")

    body = {"model": "maskadapter", "image": image_text(), "params": {"text_prompt": "cat"}}
    answer = client(x_anylabeling_routes(segment)).post("/x-anylabeling/v1/predict", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (422, "first second")


def test_base64_with_and_without_a_data_uri():
    assert from_base64("AAEC") == from_base64("data:image/png;base64,AAEC") == b"\x00\x01\x02"


@pytest.mark.parametrize("routes", [x_anylabeling_routes, roboflow_routes])
def test_the_description_has_every_refusal(routes):
    document = client(routes(halves)).get("/openapi.json").json()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert {"400", "401", "404", "413", "422", "429", "503", "504"} <= operation["responses"].keys()
