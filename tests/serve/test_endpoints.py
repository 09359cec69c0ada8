"""What a service answers is what the model computes here."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

import maskadapter as ma

pytest.importorskip("fastapi")

from maskadapter.io import decode_segmentation
from maskadapter.results import segments_by_mode
from maskadapter.serve.replies import ImageReply, SegmentsReply

CLASSES = "cat, sofa|couch, wall"


@pytest.fixture(scope="module")
def local(model, photo):
    return model.segment(io.BytesIO(photo), CLASSES)


def segment(service, **fields):
    reply = service.post("/v1/segment", json={"classes": CLASSES, **fields})
    assert reply.status_code == 200, reply.text
    return SegmentsReply.model_validate(reply.json())


def test_an_image_gets_the_id_of_its_content(service, photo, image_id):
    form = service.post("/v1/images", files={"image": ("/tmp/../cat.png", photo)})
    text = service.post("/v1/images", json={"image": base64.b64encode(photo).decode()})
    assert (form.status_code, text.status_code) == (201, 201)
    assert ImageReply.model_validate(form.json()) == ImageReply(id=image_id, width=150, height=100, file_name="cat.png")
    assert text.json() == {**form.json(), "file_name": None}
    own = service.post("/v1/images", files={"image": ("cat.png", photo)}, data={"file_name": "dog.png"})
    assert own.json()["file_name"] == "dog.png"


def test_segments_are_those_of_the_model(service, image_id, local):
    reply = segment(service, image_id=image_id)
    assert (reply.image_id, reply.model, reply.width, reply.height) == (image_id, "tiny", 150, 100)
    assert [(one.name, one.is_thing) for one in reply.classes] == [("cat", True), ("sofa", True), ("wall", False)]
    assert reply.background == "coco-stuff"
    assert len(reply.segments) == len(local) > 0
    for one, expected in zip(reply.segments, local, strict=True):
        facts = (one.id, one.label, one.name, one.is_thing, one.area, one.box, one.proposal)
        found = (expected.id, expected.label, expected.class_name, expected.is_thing)
        assert facts == (*found, expected.area, expected.box, expected.proposal)
        assert one.score == pytest.approx(expected.score, abs=1e-4)
        assert [row.name for row in one.classes] == [name for name, _ in expected.top(5)]
        mask = decode_segmentation(one.mask.model_dump(), (100, 150))
        np.testing.assert_array_equal(mask, expected.mask)


def test_an_image_may_come_with_its_classes_in_a_form_or_as_json(service, photo, image_id):
    fields = {"classes": '["cat", ["sofa", "couch"], "wall"]', "top": "2", "output": "summary"}
    form = service.post("/v1/segment", data=fields, files={"image": ("cat.png", photo)}).json()
    text = segment(service, image=base64.b64encode(photo).decode(), top=2, output="summary")
    assert SegmentsReply.model_validate(form).segments == text.segments
    assert {(len(one.classes), one.mask) for one in text.segments} == {(2, None)}
    assert form["image_id"] == image_id
    assert "mask" not in form["segments"][0]


def test_an_id_map_holds_the_segments(service, image_id, local):
    reply = segment(service, image_id=image_id, output="png")
    image = Image.open(io.BytesIO(base64.b64decode(reply.id_map)))
    assert image.mode == "RGB"
    assert not {"icc_profile", "gamma", "srgb", "chromaticity"} & set(image.info)
    ids = np.asarray(image, int) @ [1, 256, 65536]
    np.testing.assert_array_equal(ids, local.panoptic().ids)


def test_polygons_cover_the_masks_nearly(service, image_id, local):
    reply = segment(service, image_id=image_id, output="polygon")
    largest = max(reply.segments, key=lambda one: one.area)
    drawn = decode_segmentation(largest.mask.polygons, (100, 150))
    expected = local[largest.id - 1].mask
    assert (drawn & expected).sum() / (drawn | expected).sum() > 0.9


@pytest.mark.parametrize("mode", ["semantic", "instances"])
def test_other_modes(service, image_id, local, mode):
    reply = segment(service, image_id=image_id, mode=mode)
    expected = segments_by_mode(local, mode)
    assert [(one.name, one.area) for one in reply.segments] == [(one.class_name, one.area) for one in expected]


def test_options_reach_the_model(service, image_id):
    every = segment(service, image_id=image_id, background="none", things="wall", output="summary")
    assert every.background == "none"
    assert [one.is_thing for one in every.classes] == [False, False, True]
    least = sorted(one.score for one in every.segments)[-1]
    kept = segment(service, image_id=image_id, background=["none"], things=["wall"], score=least - 1e-3)
    assert kept.background == "none"  # a list is names: a class of that name
    listed = segment(service, image_id=image_id, classes="cityscapes", output="summary")
    assert (len(listed.classes), listed.background) == (19, "none")
    high = segment(service, image_id=image_id, background="none", score=0.999999)
    assert high.segments == []


def test_masks_are_classified_as_by_the_model(service, model, photo, image_id):
    polygon = [[10, 10, 90, 10, 90, 80, 10, 80]]
    empty = {"size": [100, 150], "counts": [15000]}
    labels = np.zeros((100, 150), np.uint8)
    labels[20:70, 30:90], labels[:10] = 7, 2
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    asked = {"image_id": image_id, "classes": CLASSES}
    listed = service.post("/v1/classify", json={**asked, "masks": [polygon, empty]})
    drawn = service.post("/v1/classify", data=asked, files={"masks": ("masks.png", file.getvalue())})
    for reply, masks in ((listed, [{"segmentation": polygon}, {"segmentation": empty}]), (drawn, labels.astype(int))):
        assert reply.status_code == 200, reply.text
        found = SegmentsReply.model_validate(reply.json())
        expected = model.classify(io.BytesIO(photo), masks, CLASSES)
        assert [one.label for one in found.segments] == [one.label for one in expected]
        assert [one.area for one in found.segments] == [one.area for one in expected]
        assert found.segments[0].score == pytest.approx(expected[0].score, abs=1e-4)
    last = listed.json()["segments"][1]
    assert (last["label"], last["score"], last["classes"], last["area"]) == (-1, None, [], 0)


def test_activation_maps_are_images_in_gray(service, image_id):
    def read(query=""):
        reply = service.get(f"/v1/images/{image_id}/segments/3/maps{query}")
        assert reply.headers["content-type"] == "image/png"
        return Image.open(io.BytesIO(reply.content))

    mean = read()
    assert (mean.mode, mean.size) == ("L", (150, 100))
    assert mean.getextrema()[0] == 0
    assert mean.getextrema()[1] > 200
    assert read("?map=0").tobytes() == mean.tobytes()  # the embedded model pools with one map
    assert service.get(f"/v1/images/{image_id}/segments/3/maps?map=1").status_code == 404
    assert service.get(f"/v1/images/{image_id}/segments/9999/maps").status_code == 404


def test_the_other_pooler_is_asked_by_its_name(service, model, photo, image_id):
    other, masks = ma.load(pooler="adapter"), [[[10, 10, 90, 10, 90, 80, 10, 80]]]
    other.inference = model.inference
    asked = {"image_id": image_id, "classes": CLASSES, "masks": masks}

    def classes(**fields):
        return service.post("/v1/classify", json=asked | fields).json()["segments"][0]["classes"]

    expected = other.classify(io.BytesIO(photo), [{"segmentation": masks[0]}], CLASSES)[0].top()
    found = classes(pooler="adapter")
    assert [one["name"] for one in found] == [name for name, _ in expected]
    assert [one["probability"] for one in found] == pytest.approx([value for _, value in expected], abs=1e-4)
    assert classes(pooler="pooling") == classes() != found
    path = f"/v1/images/{image_id}/segments/3/maps"
    assert service.get(f"{path}?pooler=pooling").content == service.get(path).content
    assert service.get(f"{path}?pooler=adapter&map=15").status_code == 200
    refused = service.post("/v1/classify", json=asked | {"pooler": "cropping"})
    assert refused.status_code == 422
    assert refused.json() == {"error": "pooler: cropping came, and the model that runs has pooling and adapter"}


def test_the_model_says_what_it_is_and_how_to_get_a_better_one(service):
    model = service.get("/v1/models").json()["models"][0]
    assert (model["name"], model["device"], model["embedded"]) == ("tiny", "cpu", True)
    assert (model["pooler"], model["other_pooler"]) == ("pooling", "adapter")
    assert "maskadapter serve --model fcclip-large" in model["better"]


def test_built_in_lists(service):
    rows = service.get("/v1/vocabularies").json()["vocabularies"]
    assert {"name": "ade20k-150", "size": 150} in rows
    classes = service.get("/v1/vocabularies/ade20k-150").json()["classes"]
    assert len(classes) == 150
    assert tuple(classes[3]["synonyms"]) == ma.Vocabulary.builtin("ade20k-150").classes[3]


def test_the_page_and_its_files_ask_no_other_origin(service):
    page = service.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' blob: data:")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    docs = service.get("/docs").text
    assert "/v1/segment" in docs
    assert "<script" not in docs
    assert service.get("/static/index.html").text == page.text
    for path in ("/static/app.py", "/static/..%2fapp.py", "/static/%2e%2e/settings.py", "/static/"):
        assert service.get(path).status_code == 404


def test_example_photos_can_be_segmented(service):
    names = service.get("/v1/examples").json()["examples"]
    assert names == ["camera", "cat", "astronaut", "coffee", "rocket"]
    for name in names:
        Image.open(io.BytesIO(service.get(f"/v1/examples/{name}").content)).verify()
    assert service.get("/v1/examples/..%2f..%2f__init__.py").status_code == 404


def test_health_and_metrics(service, image_id):
    assert service.get("/healthz").json() == {"status": "ok"}
    assert service.get("/readyz").status_code == 200
    segment(service, image_id=image_id)
    service.get("/made/up")
    service.request("MADEUP", "/v1/segment")
    text = service.get("/metrics").text
    assert 'maskadapter_requests_total{endpoint="/v1/segment",method="POST",status="200"}' in text
    assert 'maskadapter_request_seconds_bucket{endpoint="/v1/segment",le="0.5",method="POST"}' in text
    for name in ("maskadapter_queue_length", "maskadapter_cache_hits_total", "maskadapter_cache_bytes"):
        assert f"\n{name} " in text
    assert "/made/up" not in text
    assert "MADEUP" not in text
