"""Clients that are too many, too slow, gone or strangers, and the end of the service."""

import io
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from running_service import running, until

pytest.importorskip("fastapi")

from fastapi import APIRouter
from fastapi.testclient import TestClient
from PIL import Image

from maskadapter.serve import ServedModel, Settings, create_app


def app_of(model, routers=(), **settings):
    return create_app(model, ServedModel.of(model, "tiny", True), Settings(**settings), routers)


@contextmanager
def occupied(worker):
    """Work that keeps the model's thread until the end of the block."""
    begun, done = threading.Event(), threading.Event()
    future = worker.submit(lambda: (begun.set(), done.wait(20)))
    try:
        assert begun.wait(10)
        yield
    finally:
        done.set()
        future.result(10)


@pytest.fixture
def asked(photo):
    """A request as bytes, its body, and its fields."""
    import base64

    fields = {"image": base64.b64encode(photo).decode(), "classes": "cat", "output": "summary"}
    body = json.dumps(fields).encode()
    head = (
        f"POST /v1/segment HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body, fields


def connect(port, *parts):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    for part in parts:
        connection.sendall(part)
    return connection


def status(connection):
    """The status of the reply that comes."""
    with connection:
        return int(connection.makefile("rb").readline().split()[1])


def test_a_full_queue_is_said_at_once_and_what_waits_is_done(model, asked):
    app = app_of(model, queue=2)
    with TestClient(app) as client, ThreadPoolExecutor(2) as threads:
        worker = app.state.service.worker
        with occupied(worker):
            waiting = [threads.submit(client.post, "/v1/segment", json=asked[2]) for _ in range(2)]
            until(lambda: worker.waiting == 2)
            refused = client.post("/v1/segment", json=asked[2])
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert "maskadapter_queue_length 2.0" in client.get("/metrics").text
        assert [one.result(20).status_code for one in waiting] == [200, 200]
        assert client.post("/v1/segment", json=asked[2]).status_code == 200


def test_two_hundred_clients_at_once_all_get_an_answer(model, asked):
    with TestClient(app_of(model, queue=8)) as client, ThreadPoolExecutor(200) as threads:
        replies = list(threads.map(lambda _: client.post("/v1/segment", json=asked[2]), range(200)))
        assert {reply.status_code for reply in replies} <= {200, 429}
        assert sum(reply.status_code == 200 for reply in replies) >= 8
        assert client.post("/v1/segment", json=asked[2]).status_code == 200


def test_work_that_takes_too_long_is_given_up(model, asked):
    app = app_of(model, timeout=0.3)
    with TestClient(app) as client:
        worker = app.state.service.worker
        with occupied(worker):
            reply = client.post("/v1/segment", json=asked[2])
            assert (reply.status_code, list(reply.json())) == (504, ["error"])
            until(lambda: worker.waiting == 0)


def test_work_of_a_client_that_went_is_not_begun(model, asked):
    app = app_of(model)
    with running(app) as (_, port):
        worker = app.state.service.worker
        with occupied(worker):
            connection = connect(port, *asked[:2])
            until(lambda: worker.waiting == 1)
            connection.close()
            until(lambda: worker.waiting == 0)
        assert status(connect(port, *asked[:2])) == 200


def test_cut_and_slow_requests(model, asked):
    head, body, _ = asked
    with running(app_of(model, timeout=0.5)) as (_, port):
        connect(port, head[: len(head) // 2]).close()
        connect(port, head, body[: len(body) // 2]).close()
        assert status(connect(port, head, body[:10])) == 400
        assert status(connect(port, b"\x16\x03\x01 no HTTP\r\n\r\n")) == 400
        assert status(connect(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")) == 200


def test_the_bodies_of_all_requests_together_have_a_limit(model, asked):
    head, body, _ = asked
    app = app_of(model, max_bodies_bytes=len(body) + 1000)
    with running(app) as (_, port):
        first = connect(port, head, body[:-500])
        # The first has to be there before the second, and nothing says when it is.
        while status(connect(port, head, body)) != 429:
            pass
        first.sendall(body[-500:])
        assert status(first) == 200
        assert status(connect(port, head, body)) == 200


def test_the_end_lets_work_that_has_begun_finish_and_refuses_the_rest(model, asked):
    app = app_of(model)
    with running(app) as (server, port):
        worker = app.state.service.worker
        with occupied(worker):
            connection = connect(port, *asked[:2])
            until(lambda: worker.waiting == 1)
            server.should_exit = True
        assert status(connection) == 200
    assert not worker.is_open


def test_a_service_that_stops_says_so(model, asked):
    app = app_of(model)
    with TestClient(app) as client:
        app.state.service.worker.close()
        for reply in (client.get("/readyz"), client.post("/v1/segment", json=asked[2])):
            assert (reply.status_code, list(reply.json())) == (503, ["error"])
        assert client.get("/healthz").status_code == 200


def test_a_token_is_asked_for_everywhere_but_at_the_page_and_the_probes(model):
    with TestClient(app_of(model, token="open sesame")) as client:
        own = {"authorization": "Bearer open sesame"}
        for path in ("/v1/models", "/v1/examples", "/metrics", "/docs", "/openapi.json", "/nothing"):
            for headers in ({}, {"authorization": "Bearer open"}, {"authorization": "Basic open sesame"}):
                reply = client.get(path, headers=headers)
                assert (reply.status_code, list(reply.json())) == (401, ["error"])
                assert reply.headers["www-authenticate"] == "Bearer"
            assert client.get(path, headers=own).status_code in (200, 404)
        assert client.post("/v1/segment", content=b"{").status_code == 401
        for path in ("/", "/static/index.html", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200


def test_further_endpoints_are_mounted_and_may_use_the_model(model, photo):
    router, tried = APIRouter(), []

    @router.get("/further")
    def further():
        work = tried[0].submit(lambda: threading.current_thread().name)
        return {"thread": work.result(10)}

    app = app_of(model, [router], token="a")
    tried.append(app.state.service.worker)
    with TestClient(app) as client:
        assert client.get("/further").status_code == 401
        assert client.get("/further", headers={"authorization": "Bearer a"}).json() == {"thread": "model"}


def test_images_of_one_size_that_wait_are_encoded_together(model, monkeypatch):
    def photo(number, size=(60, 40)):
        file = io.BytesIO()
        Image.new("RGB", size, (number, 0, 0)).save(file, "PNG")
        return file.getvalue()

    came, encode = [], model.encode_images
    monkeypatch.setattr(type(model), "images_together", 3)
    noted = lambda images: (came.append(len(images)), encode(images))[1]  # noqa: E731
    monkeypatch.setattr(model, "encode_images", noted, raising=False)
    files = [*(photo(number) for number in range(4)), photo(9, (40, 60))]
    app = app_of(model)
    with TestClient(app) as client, ThreadPoolExecutor(5) as pool:
        with occupied(app.state.service.worker):
            sent = [pool.submit(client.post, "/v1/images", files={"image": ("a.png", file)}) for file in files]
            until(lambda: app.state.service.worker.waiting == 5)
        assert [each.result(20).status_code for each in sent] == [201] * 5
    assert sorted(came) == [1, 1, 3]
