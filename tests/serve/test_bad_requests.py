"""Requests that are wrong get a status of 4xx and one sentence, and the service answers the next one."""

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("fastapi")

JSON = {"content-type": "application/json"}


def sentence(reply, status):
    """The reply's one sentence, after a check of its status."""
    assert reply.status_code == status, reply.text
    content = reply.json()
    assert list(content) == ["error"]
    assert content["error"]
    assert "\n" not in content["error"]
    assert "Traceback" not in content["error"]
    return content["error"]


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


BOMB = png(100_000, 100_000, chunk(b"IDAT", zlib.compress(bytes(1_000_000))))
TEXT_BOMB = png(10, 10, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000))), chunk(b"IDAT", b""))
FILES = {
    "nothing": b"",
    "a text": b"words",
    "a truncated image": None,
    "a small file of many pixels": BOMB,
    "a small file of much text": TEXT_BOMB,
    "an image without pixels": png(10, 10),
    "SVG with an entity": b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(%pipe%id) (r) file\n",
    "a pickle": b"cos\nsystem\n(S'true'\ntR.",
    "a strip": None,
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_not_an_image_is_refused(service, photo, name):
    content = {"a truncated image": photo[: len(photo) // 2]}.get(name, FILES[name])
    if name == "a strip":
        file = io.BytesIO()
        Image.new("RGB", (20_000, 8)).save(file, "PNG")
        content = file.getvalue()
    sentence(service.post("/v1/images", files={"image": ("a.png", content)}), 422)
    encoded = base64.b64encode(content).decode()
    sentence(service.post("/v1/segment", json={"image": encoded, "classes": "cat"}), 422)


FIELDS = {
    "no image": {"classes": "cat"},
    "two images": {"classes": "cat", "image": "aaaa", "image_id": "a"},
    "an image that is not base64": {"classes": "cat", "image": "data:image/png;base64,aaaa"},
    "an image that is a number": {"classes": "cat", "image": 7},
    "an image that is a path": {"classes": "cat", "image": "/etc/passwd"},
    "no classes": {},
    "empty classes": {"classes": ""},
    "an empty class": {"classes": ["cat", ""]},
    "no class in a list": {"classes": []},
    "a number as classes": {"classes": 7},
    "an object as classes": {"classes": {"0": "cat"}},
    "a number as a class": {"classes": ["cat", 7]},
    "half a sign": {"classes": "cat\ud800"},
    "10,000 classes": {"classes": ",".join(f"class {number}" for number in range(10_000))},
    "10,000 synonyms": {"classes": [[f"class {number}" for number in range(10_000)]]},
    "10,000 classes of the background": {"classes": "cat", "background": [f"class {n}" for n in range(10_000)]},
    "a long name": {"classes": "a" * 100_000},
    "a misspelled list": {"classes": "ade20k"},
    "a thing that no class is": {"classes": "cat", "things": "dog"},
    "a score above 1": {"classes": "cat", "score": 1.5},
    "true as top": {"classes": "cat", "top": True},
    "false as score": {"classes": "cat", "score": False},
    "a text as score": {"classes": "cat", "score": "high"},
    "another mode": {"classes": "cat", "mode": "all"},
    "another output": {"classes": "cat", "output": "/etc/passwd"},
    "a top below 0": {"classes": "cat", "top": -1},
    "an unknown field": {"classes": "cat", "device": "cuda"},
}


@pytest.mark.parametrize("name", FIELDS)
def test_wrong_fields_are_refused(service, image_id, name):
    own = {} if "image" in name or "image" in FIELDS[name] else {"image_id": image_id}
    sentence(service.post("/v1/segment", content=json.dumps({**own, **FIELDS[name]}), headers=JSON), 422)


@pytest.mark.parametrize("text", ["/etc/passwd", "file:///etc/hosts", "http://127.0.0.1:1/x.txt", "../../classes.yaml"])
def test_no_text_of_a_client_is_a_path_or_an_address(service, image_id, text, tmp_path, monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("a file is opened")

    monkeypatch.setattr("maskadapter.vocabulary.class_files.read_text", refuse)
    asked = {"image_id": image_id, "classes": text, "background": text, "output": "summary"}
    reply = service.post("/v1/segment", json=asked)
    assert reply.status_code == 200
    assert reply.json()["classes"][0]["name"] == text
    sentence(service.post("/v1/segment", json={"image_id": text, "classes": "cat"}), 404)
    sentence(service.post("/v1/classify", json={"image_id": image_id, "classes": "cat", "masks": text}), 422)
    sentence(service.post("/v1/classify", json={"image_id": image_id, "classes": "cat", "masks": [text]}), 422)
    sentence(service.get(f"/v1/images/{text}/segments/1/maps"), 404)


@pytest.mark.parametrize(
    "name", ["猫, 沙发", "кошка|кот", "قطة", "בז", "e\u0301t\u00e9", "🐈", "a{0}b", "%s{}", "<script>"]
)
def test_names_of_any_script_are_classes(service, image_id, name):
    reply = service.post("/v1/segment", json={"image_id": image_id, "classes": name, "output": "summary"})
    assert reply.status_code == 200
    assert reply.json()["classes"][0]["name"] == name.split(",")[0].split("|")[0]


MASKS = {
    "no list": {"size": [100, 150], "counts": [15000]},
    "another size": [{"size": [10, 10], "counts": [100]}],
    "too few runs": [{"size": [100, 150], "counts": [10]}],
    "runs below 0": [{"size": [100, 150], "counts": [-5, 15005]}],
    "letters that end early": [{"size": [100, 150], "counts": "o"}],
    "letters of another alphabet": [{"size": [100, 150], "counts": "ÿ猫"}],
    "a point": [[[1, 2]]],
    "a far point": [[[1, 2, 1e30, 5, 6, 7]]],
    "relative coordinates": [[[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]],
    "a text": ["mask.png"],
    "nested far": [[[[[[[1]]]]]]],
    "too many": [[[10, 10, 90, 10, 90, 80]]] * 11,
    "nothing in it": [None],
}


@pytest.mark.parametrize("name", MASKS)
def test_wrong_masks_are_refused(service, image_id, name):
    sentence(service.post("/v1/classify", json={"image_id": image_id, "classes": "cat", "masks": MASKS[name]}), 422)


@pytest.mark.parametrize("kind", ["text", "another size", "gray", "bomb"])
def test_wrong_label_maps_are_refused(service, image_id, kind):
    file = io.BytesIO()
    if kind == "another size":
        Image.fromarray(np.eye(5, dtype=np.uint8)).save(file, "PNG")
    elif kind == "gray":
        Image.linear_gradient("L").resize((150, 100)).save(file, "PNG")
    content = {"text": b"words", "bomb": BOMB}.get(kind, file.getvalue())
    asked = {"image_id": image_id, "classes": "cat"}
    sentence(service.post("/v1/classify", data=asked, files={"masks": ("m.png", content)}), 422)


BODIES = {
    "no JSON": (b"{", JSON, 400),
    "broken UTF-8": (b'{"classes": "\xff"}', JSON, 400),
    "deep JSON": (b"[" * 100_000, JSON, 400),
    "a number that is none": (b'{"classes": "cat", "image_id": "a", "score": NaN}', JSON, 400),
    "a number of many digits": (b'{"top": ' + b"9" * 10_000 + b"}", JSON, 400),
    "a list": (b"[]", JSON, 422),
    "nothing": (b"", {}, 415),
    "a text": (b"cat", {"content-type": "text/plain"}, 415),
    "compressed": (b"cat", {**JSON, "content-encoding": "gzip"}, 415),
    "a form without a boundary": (b"cat", {"content-type": "multipart/form-data"}, 400),
    "a form of another boundary": (b"--b\r\n\r\ncat", {"content-type": "multipart/form-data; boundary=a"}, 400),
    "a form that is cut": (
        b'--a\r\nContent-Disposition: form-data; name="classes"\r\n\r\nca',
        {"content-type": "multipart/form-data; boundary=a"},
        422,  # what came is taken, and there is no image
    ),
    "a form of a nameless field": (
        b"--a\r\nContent-Disposition: form-data\r\n\r\ncat\r\n--a--\r\n",
        {"content-type": "multipart/form-data; boundary=a"},
        400,
    ),
}


@pytest.mark.parametrize("path", ["/v1/images", "/v1/segment", "/v1/classify"])
@pytest.mark.parametrize("name", BODIES)
def test_broken_bodies_are_refused(service, path, name):
    body, headers, status = BODIES[name]
    sentence(service.post(path, content=body, headers=headers), status)


def test_forms_with_too_many_or_wrong_fields_are_refused(service, photo, image_id):
    many = {f"field {number}": "a" for number in range(100)}
    sentence(service.post("/v1/segment", data=many, files={"image": photo}), 400)
    twice = [("image", ("a.png", photo)), ("image", ("b.png", photo))]
    sentence(service.post("/v1/images", files=twice), 422)
    sentence(service.post("/v1/images", files={"classes": ("a.png", photo)}), 422)
    listed = {"classes": "[cat", "image_id": image_id}
    sentence(service.post("/v1/segment", data=listed, files={"masks": b"a"}), 422)


def test_an_empty_text_in_a_form_is_a_field_that_was_not_given(service, image_id):
    def ask(**more):
        fields = {"image_id": image_id, "classes": "cat", "output": "summary"} | more
        return service.post("/v1/segment", files={name: (None, value) for name, value in fields.items()})

    empty = dict.fromkeys(["things", "background", "examples", "file_name", "top", "score", "mode", "image"], "")
    assert ask(**empty).json()["segments"] == ask().json()["segments"]
    assert "classes: Field required" in sentence(ask(classes=""), 422)


@pytest.mark.parametrize("length", ["stated", "not stated"])
def test_large_bodies_are_refused_before_they_are_read(service, length):
    sent = []

    def parts():
        for _ in range(100):
            sent.append(1)
            yield bytes(100_000)

    content = bytes(10_000_000) if length == "stated" else parts()
    reply = service.post("/v1/segment", content=content, headers=JSON)
    assert "larger than 2 MB" in sentence(reply, 413)


def test_other_addresses_and_methods(service):
    sentence(service.get("/v1/nothing"), 404)
    sentence(service.get("/v1/segment"), 405)
    sentence(service.get("/v1/vocabularies/..%2f..%2fetc%2fpasswd"), 404)
    sentence(service.get("/v1/vocabularies/none"), 404)
    sentence(service.get("/v1/images/a/segments/-1/maps"), 422)
    sentence(service.get("/v1/images/a/segments/1e9/maps"), 422)
    sentence(service.get("/v1/images/a/segments/1/maps?map=x"), 422)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["classes", "things", "background", "score", "mode", "output", "top", "masks", "image"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(NAMES, VALUES, max_size=4), path=st.sampled_from(["segment", "classify"]))
def test_made_up_fields_never_break_the_service(service, image_id, fields, path):
    body = json.dumps({"image_id": image_id, "classes": "cat", "output": "summary", **fields})
    reply = service.post(f"/v1/{path}", content=body, headers=JSON)
    assert reply.status_code == 200 or sentence(reply, reply.status_code)
    assert reply.status_code in (200, 400, 422)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_bytes_never_break_the_service(service, photo, image_id, data):
    form = service.build_request("POST", "/v1/images", files={"image": ("a.png", photo)})
    body = bytearray(form.read())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, min(len(body) - 1, 400)))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reply = service.post("/v1/images", content=bytes(body), headers={"content-type": form.headers["content-type"]})
    assert reply.status_code == 201 or sentence(reply, reply.status_code)
    assert reply.status_code in (201, 400, 413, 422)
