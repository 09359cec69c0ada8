"""X-AnyLabeling's requests, as its RemoteServer sends them, and the shapes that it reads."""

import base64

import numpy as np
import pytest
import skimage.data
from labeling_client import (
    SIZE,
    bright_mask,
    client,
    filled,
    halves,
    image_bytes,
    image_text,
    iou,
    with_an_empty_mask,
)
from PIL import Image

import maskadapter as ma
from maskadapter.integrations.labeling_servers import x_anylabeling_routes

SHAPE_FIELDS = {  # of X-AnyLabeling-Server's schema Shape
    "label": str,
    "shape_type": str,
    "points": list,
    "score": float,
    "attributes": dict,
    "description": str,
    "difficult": bool,
    "direction": int,
    "flags": dict,
    "group_id": int | None,
    "kie_linking": list,
}


def recorded(text_prompt="cat.wall", **changes):
    params = {"conf_threshold": 0.25, "iou_threshold": 0.0, "epsilon_factor": 0.001, "text_prompt": text_prompt}
    return {"model": "maskadapter", "image": f"data:image/png;base64,{image_text()}", "params": params} | changes


def predict(body):
    return client(x_anylabeling_routes(halves)).post("/x-anylabeling/v1/predict", json=body)


def test_the_list_of_models_says_what_the_window_shows():
    models = client(x_anylabeling_routes(halves, model="tiny", score=0.1)).get("/x-anylabeling/v1/models").json()
    assert models["success"] is True
    assert list(models["data"]) == ["tiny"]
    about = models["data"]["tiny"]
    assert about["batch_processing_mode"] == "text_prompt"
    widgets = {widget["name"]: widget["value"] for widget in about["widgets"]}
    assert {"edit_text", "button_send", "edit_conf"} <= widgets.keys()
    assert widgets["edit_conf"] == 0.1


@pytest.mark.parametrize("text", ["cat.wall", "cat, wall", "cat|kitten, wall|facade", " cat ,, wall "])
def test_shapes_of_the_classes_typed(text):
    data = predict(recorded(text)).json()["data"]
    assert data["description"] == ""
    for shape in data["shapes"]:
        assert shape.keys() == SHAPE_FIELDS.keys()
        assert all(isinstance(shape[name], kind) for name, kind in SHAPE_FIELDS.items())
        assert shape["shape_type"] == "polygon"
        assert shape["points"][0] == shape["points"][-1]
        assert len(shape["points"]) > 3
        assert 0 <= shape["score"] <= 1
    cats = [shape for shape in data["shapes"] if shape["label"] == "cat"]
    assert len(cats) == 2
    assert len({shape["group_id"] for shape in cats}) == 1
    assert cats[0]["group_id"] > 0
    assert iou(filled([shape["points"] for shape in cats]), bright_mask()) > 0.95
    assert cats[0]["attributes"] == {}
    assert cats[0]["description"].startswith("cat 90%")


def test_the_least_score_that_the_user_set():
    labels = {shape["label"] for shape in predict(recorded()).json()["data"]["shapes"]}
    assert labels == {"cat", "wall"}
    params = {"text_prompt": "cat, wall", "conf_threshold": 0.7}
    assert {s["label"] for s in predict(recorded(params=params)).json()["data"]["shapes"]} == {"cat"}


def test_masks_without_a_class_have_no_shape():
    asked = client(x_anylabeling_routes(with_an_empty_mask))
    answer = asked.post("/x-anylabeling/v1/predict", json=recorded(params={"text_prompt": "cat, wall"}))
    assert {shape["label"] for shape in answer.json()["data"]["shapes"]} == {"cat"}


def test_a_group_is_of_several_parts():
    walls = [shape for shape in predict(recorded()).json()["data"]["shapes"] if shape["label"] == "wall"]
    assert (len(walls) > 1) == all(shape["group_id"] is not None for shape in walls)
    bright = base64.b64encode(image_bytes(np.arange(40 * 60).reshape(40, 60) < 900)).decode()
    assert {shape["group_id"] for shape in predict(recorded(image=bright)).json()["data"]["shapes"]} == {None}


def test_a_built_in_list_by_its_name():
    assert predict(recorded("coco-panoptic")).json()["data"]["shapes"][0]["label"] == "person"


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"model": "yolo11n"}, 404, "there is no model 'yolo11n': 'maskadapter' is served"),
        ({"params": {"conf_threshold": 0.1}}, 422, "no classes came"),
        ({"params": {"text_prompt": " , "}}, 422, "no classes came"),
        ({"params": {"text_prompt": ", ".join(map(str, range(10_000)))}}, 422, "10,000 class names came: at most 500"),
        ({"params": {"text_prompt": "c" * 201}}, 422, "a class name has 201 letters"),
        ({"model": "m" * 1000}, 404, f"there is no model '{'m' * 100}'"),
        ({"params": {"text_prompt": "cat", "conf_threshold": -0.1}}, 422, "params.conf_threshold: "),
        ({"image": "@@@"}, 422, "the image is not base64"),
        ({"image": "ü"}, 422, "the image is not base64"),
        ({"image": "data:image/png,raw"}, 422, "the image's data URI is not in base64"),
        ({"image": ""}, 422, "the image is empty"),
        ({"image": base64.b64encode(b"not an image").decode()}, 422, "not an image that can be read: the image"),
        ({"image": base64.b64encode(image_bytes()[:100]).decode()}, 422, "damaged image the image"),
        ({"image": "/etc/passwd"}, 422, "the image is not base64"),
        ({"image": "http://localhost/a.png"}, 422, "the image is not base64"),
    ],
)
def test_what_cannot_be_read(changes, status, sentence):
    answer = predict(recorded(**changes))
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(sentence)


def test_the_name_of_a_file_is_the_name_of_a_class(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text("secret")
    labels = {shape["label"] for shape in predict(recorded(f"{file}, wall")).json()["data"]["shapes"]}
    assert labels == {str(file), "wall"}


def test_an_image_of_more_pixels_than_allowed_is_not_decoded():
    asked = client(x_anylabeling_routes(halves, max_pixels=SIZE[0] * SIZE[1] - 1))
    answer = asked.post("/x-anylabeling/v1/predict", json=recorded())
    assert answer.status_code == 422
    assert "60 x 40 pixels, more than" in answer.json()["detail"]


def test_the_embedded_model_finds_the_cat():
    model = ma.load()
    asked = client(x_anylabeling_routes(model.segment))
    small = Image.fromarray(skimage.data.chelsea()).resize((150, 100))
    body = recorded("cat", image=base64.b64encode(encoded(small)).decode(), params={"text_prompt": "cat"})
    shapes = asked.post("/x-anylabeling/v1/predict", json=body).json()["data"]["shapes"]
    assert {shape["label"] for shape in shapes} == {"cat"}
    assert filled([shape["points"] for shape in shapes], (100, 150)).mean() > 0.3
    assert 1 <= len(shapes[0]["description"].split(", ")) <= 5


def encoded(image):
    from io import BytesIO

    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
