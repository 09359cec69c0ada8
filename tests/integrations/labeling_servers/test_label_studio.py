"""Label Studio's requests, as its server sends them, and the predictions that it stores."""

import logging

import numpy as np
import pytest
from label_studio import LabelStudio
from labeling_client import (
    SIZE,
    bright_mask,
    client,
    decode_brush,
    filled,
    halves,
    image_bytes,
    iou,
    with_an_empty_mask,
)

from maskadapter.errors import MaskAdapterError
from maskadapter.integrations.labeling_servers import label_studio_routes

LABELS = '<Label value="Cat" background="#FFA39E"/><Label value="Wall" alias="w"/>'
IMAGE = '<Image name="image" value="$image"/>'


def interface(form="Brush", labels=LABELS):
    return f'<View>{IMAGE}<{form}Labels name="tag" toName="image">{labels}</{form}Labels></View>'


@pytest.fixture
def server():
    with LabelStudio() as running:
        yield running


@pytest.fixture
def asked(server):
    return client(label_studio_routes(halves, server.url, model_version="tiny"))


def recorded(label_config=None, images=("/data/upload/1/photo.png",)):
    """What Label Studio sends for some tasks."""
    return {
        "tasks": [
            {
                "id": number,
                "data": {"image": image},
                "meta": {},
                "created_at": "2024-05-02T12:00:00.000000Z",
                "updated_at": "2024-05-02T12:00:00.000000Z",
                "is_labeled": False,
                "project": 1,
                "annotations": [],
                "predictions": [],
            }
            for number, image in enumerate(images, start=1)
        ],
        "model_version": "tiny",
        "project": "1.1714650000",
        "label_config": label_config or interface(),
        "params": {"login": None, "password": None, "context": None},
    }


def predict(asked, *arguments, **options):
    return asked.post("/label-studio/predict", json=recorded(*arguments, **options))


def regions(asked, form):
    (prediction,) = predict(asked, interface(form)).json()["results"]
    return prediction["result"]


def test_connecting_a_project(asked):
    assert asked.get("/label-studio/health").json()["status"] == "UP"
    setup = {"project": "1.1714650000", "schema": interface(), "hostname": "http://evil", "access_token": "x"}
    assert asked.post("/label-studio/setup", json=setup).json() == {"model_version": "tiny"}
    assert asked.post("/label-studio/setup", json={}).json() == {"model_version": "tiny"}
    refused = asked.post("/label-studio/setup", json={"schema": f"<View>{IMAGE}</View>"})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("the labeling interface has no classes to segment")


def test_brush_regions_are_the_masks(asked):
    (prediction,) = predict(asked).json()["results"]
    assert prediction["model_version"] == "tiny"
    assert prediction["score"] == pytest.approx(0.75)
    cat, wall = prediction["result"]
    assert (cat["from_name"], cat["to_name"], cat["type"]) == ("tag", "image", "brushlabels")
    assert (cat["original_width"], cat["original_height"], cat["image_rotation"]) == (SIZE[1], SIZE[0], 0)
    assert cat["value"]["format"] == "rle"
    assert (cat["value"]["brushlabels"], wall["value"]["brushlabels"]) == (["Cat"], ["w"])
    assert (cat["score"], wall["score"]) == (0.9, 0.6)
    assert cat["id"] != wall["id"]
    assert cat["meta"]["text"][0].startswith("Cat 90%")
    assert (decode_brush(cat["value"]["rle"]).reshape(*SIZE, 4)[..., 3] == np.where(bright_mask(), 255, 0)).all()


def test_polygons_are_in_percent_one_for_each_part(asked):
    cats = [region for region in regions(asked, "Polygon") if region["value"]["polygonlabels"] == ["Cat"]]
    assert len(cats) == 2
    assert all(region["type"] == "polygonlabels" and region["value"]["closed"] for region in cats)
    rings = [np.array(region["value"]["points"]) * [SIZE[1] / 100, SIZE[0] / 100] for region in cats]
    assert iou(filled(rings), bright_mask()) > 0.95


def test_rectangles_are_in_percent(asked):
    cat = regions(asked, "Rectangle")[0]["value"]
    left, top = cat["x"] * SIZE[1] / 100, cat["y"] * SIZE[0] / 100
    assert (left, top) == pytest.approx((10, 5), abs=0.01)
    right, bottom = left + cat["width"] * SIZE[1] / 100, top + cat["height"] * SIZE[0] / 100
    assert (right, bottom) == pytest.approx((58, 38), abs=0.01)
    assert cat["rotation"] == 0


def test_of_two_tags_with_a_label_the_first_gets_its_regions(asked):
    both = "".join(
        f'<{form}Labels name="{form}" toName="image"><Label value="{label}"/><Label value="Cat"/></{form}Labels>'
        for form, label in (("Polygon", "Dog"), ("Brush", "Wall"))
    )
    (prediction,) = predict(asked, f"<View>{IMAGE}{both}</View>").json()["results"]
    assert {region["from_name"] for region in prediction["result"]} == {"Polygon"}


def test_labels_with_the_same_first_name_are_one_class(asked):
    pet = '<Label value="Pet" predicted_values="Cat,dog"/>'
    labels = f'<Label value="Cat"/><Label value="cat"/>{pet}<Label value="Wall"/>'
    (prediction,) = predict(asked, interface(labels=labels)).json()["results"]
    assert [region["value"]["brushlabels"] for region in prediction["result"]] == [["Cat"], ["Wall"]]


def test_masks_without_a_class_have_no_regions(server):
    asked = client(label_studio_routes(with_an_empty_mask, server.url))
    assert [region["value"]["brushlabels"] for region in regions(asked, "Brush")] == [["Cat"]]


def test_segments_below_the_score_are_left_out(server):
    asked = client(label_studio_routes(halves, server.url, score=0.7))
    assert [region["value"]["brushlabels"] for region in regions(asked, "Brush")] == [["Cat"]]


def test_each_image_of_a_task_has_its_own_labels_and_one_without_is_not_fetched(server, asked):
    interface = (
        "<View>"
        + "".join(f'<Image name="{name}" value="${name}"/>' for name in ("left", "right", "plain"))
        + '<BrushLabels name="animals" toName="left"><Label value="Cat"/><Label value="Dog"/></BrushLabels>'
        + '<BrushLabels name="rooms" toName="right"><Label value="Wall"/><Label value="Floor"/></BrushLabels>'
        + "</View>"
    )
    request = recorded(interface)
    server.files |= {f"/data/upload/1/{name}.png": image_bytes() for name in ("left", "right", "plain")}
    request["tasks"][0]["data"] = {name: f"/data/upload/1/{name}.png" for name in ("left", "right", "plain")}
    (prediction,) = asked.post("/label-studio/predict", json=request).json()["results"]
    found = {(one["to_name"], one["from_name"], *one["value"]["brushlabels"]) for one in prediction["result"]}
    expected = {("left", "animals", "Cat"), ("left", "animals", "Dog")}
    assert found == expected | {("right", "rooms", "Wall"), ("right", "rooms", "Floor")}
    assert [path for method, path, _ in server.asked if method == "GET"] == [
        "/data/upload/1/left.png",
        "/data/upload/1/right.png",
    ]


def test_a_task_whose_image_cannot_be_read_gets_no_regions(asked, caplog):
    images = ["/data/upload/1/photo.png", "/gone.png", "s3://bucket/a.png"]
    with caplog.at_level(logging.WARNING):
        results = predict(asked, images=images).json()["results"]
    assert [len(one["result"]) for one in results] == [2, 0, 0]
    assert "task 2: Label Studio answered 404" in caplog.text
    assert "task 3: the image is at 's3://bucket/a.png'" in caplog.text


@pytest.mark.parametrize("images", [["/gone.png"], ["/gone.png"] * 3])
def test_where_no_image_can_be_read_the_first_reason_comes_back(asked, images):
    answer = predict(asked, images=images)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("task 1: Label Studio answered 404")


def test_the_token_comes_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "abc")
    predict(client(label_studio_routes(halves, server.url)))
    assert server.asked == [("GET", "/data/upload/1/photo.png", "Token abc")]


def test_a_file_that_is_no_image(server, asked):
    server.files["/text"] = b"hello"
    assert "not an image that can be read" in predict(asked, images=["/text"]).json()["detail"]


def test_limits_of_an_image_reach_it(server):
    content = len(image_bytes())
    for limits, sentence in (
        ({"max_bytes": content - 1}, f"more than {content - 1:,} bytes"),
        ({"max_pixels": SIZE[0] * SIZE[1] - 1}, "60 x 40 pixels, more than"),
    ):
        answer = predict(client(label_studio_routes(halves, server.url, **limits)))
        assert answer.status_code == 422
        assert sentence in answer.json()["detail"]


def test_the_token_of_the_service_is_asked_for(server):
    asked = client(label_studio_routes(halves, server.url, token="s3cret"))
    assert predict(asked).status_code == 401
    assert asked.get("/label-studio/health").status_code == 401
    assert server.asked == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tasks": []}, "tasks: "),
        ({"tasks": [{"data": {}}] * 1001}, "tasks: "),
        ({"tasks": [{"id": 1}]}, "tasks.0.data: "),
        ({"tasks": [{"id": 1, "data": {}}]}, "task 1: the address of the image is None"),
        ({"tasks": [{"id": 1, "data": {"image": {"a": 1}}}]}, "task 1: the address of the image is {'a': 1}"),
        ({"label_config": None}, "label_config: "),
        ({"label_config": "<View/>"}, "the labeling interface has no classes"),
    ],
)
def test_what_cannot_be_read(asked, server, change, sentence):
    answer = asked.post("/label-studio/predict", json=recorded() | change)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)
    assert server.asked == []


def test_events_are_taken_and_nothing_is_learned(asked):
    event = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": 1}}
    answer = asked.post("/label-studio/webhook", json=event)
    assert (answer.status_code, answer.json()["status"]) == (201, "ignored")
    long = asked.post("/label-studio/webhook", json=event | {"action": "a" * 1000})
    assert len(long.json()["action"]) == 100


def test_an_address_of_label_studio_that_is_none():
    with pytest.raises(MaskAdapterError, match="is not the address of a Label Studio"):
        label_studio_routes(halves, "localhost:8080")
