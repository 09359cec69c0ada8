"""Classes that a client shows: "this is a gizmo"."""

import json

import pytest

pytest.importorskip("fastapi")


@pytest.fixture
def shown(service, image_id):
    """The largest segment of the photo, as the page sends it."""
    segments = service.post("/v1/segment", json={"image_id": image_id, "classes": "cat, wall"}).json()["segments"]
    return {"image_id": image_id, "mask": max(segments, key=lambda one: one["area"])["mask"]}


def segment(service, image_id, classes, *examples):
    return service.post("/v1/segment", json={"image_id": image_id, "classes": classes, "examples": list(examples)})


def test_a_name_that_means_nothing_is_found_where_it_was_shown(service, image_id, shown):
    reply = segment(service, image_id, "wall", {"name": "qxzv", **shown}).json()
    assert [(one["name"], one["is_thing"]) for one in reply["classes"]] == [("wall", False), ("qxzv", True)]
    found = max(reply["segments"], key=lambda one: one["area"])
    assert found["name"] == "qxzv"
    plain = segment(service, image_id, "wall, qxzv").json()
    assert plain["segments"] != reply["segments"]


def test_an_example_of_a_class_helps_its_name(service, image_id, shown):
    plain = segment(service, image_id, ["cat", ["sofa", "couch"]]).json()
    helped = segment(service, image_id, ["cat", ["sofa", "couch"]], {"name": "SOFA", **shown}).json()
    assert [one["name"] for one in helped["classes"]] == ["cat", "sofa"]
    assert helped["segments"] != plain["segments"]


def test_examples_may_come_in_a_form(service, photo, shown):
    fields = {"classes": "wall", "examples": json.dumps([{"name": "qxzv", **shown}])}
    reply = service.post("/v1/segment", data=fields, files={"image": ("cat.png", photo)})
    assert [one["name"] for one in reply.json()["classes"]] == ["wall", "qxzv"], reply.text


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"image_id": "gone"}, 404, "example"),
        ({"mask": {"size": [3, 3], "counts": "9"}}, 422, "qxzv"),
        ({"mask": "photo.png"}, 422, "qxzv"),
        ({"mask": [[0, 0, 0, 0, 0, 0]]}, 422, "qxzv"),
        ({"mask": [[0, 0, 150, 0, 150, 100, 0, 100]]}, 422, "whole image"),
        ({"name": " "}, 422, "name"),
        ({"name": "a|b"}, 422, "name"),
        ({"name": "x" * 201}, 422, "name"),
        ({"path": "/etc/passwd"}, 422, "path"),
    ],
)
def test_what_is_no_example_is_refused_in_one_sentence(service, image_id, shown, change, status, said):
    reply = segment(service, image_id, "wall", {"name": "qxzv", **shown, **change})
    assert reply.status_code == status, reply.text
    assert said in reply.json()["error"]
    assert segment(service, image_id, "wall", *[{"name": "qxzv", **shown}] * 101).status_code == 422
