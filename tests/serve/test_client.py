"""The client's results are those of the model, in the same types."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image
from running_service import running

import maskadapter as ma

pytest.importorskip("fastapi")

from maskadapter.serve import ServedModel, Settings, create_app
from maskadapter.serve.image_cache import bytes_of

CLASSES = ["cat", ("sofa", "couch"), "wall"]


@pytest.fixture(scope="module")
def address(model, photo):
    size = bytes_of(model.encode_image(io.BytesIO(photo)))
    settings = Settings(token="open sesame", cache_bytes=2 * size, max_body_bytes=1_000_000)
    app = create_app(model, ServedModel.of(model, "tiny", True), settings)
    with running(app) as (_, port):
        yield app, f"http://127.0.0.1:{port}"


@pytest.fixture
def client(address):
    return ma.Client(address[1], token="open sesame")


@pytest.fixture
def path(photo, tmp_path):
    (tmp_path / "cat.png").write_bytes(photo)
    return tmp_path / "cat.png"


def test_a_segmentation_is_that_of_the_model(client, model, path):
    found, local = client.segment(path, CLASSES), model.segment(path, CLASSES)
    assert isinstance(found, ma.Segmentation)
    assert (found.class_names, found.file_name, found.size) == (local.class_names, "cat.png", local.size)
    assert found.background_text == local.background_text == "coco-stuff"
    np.testing.assert_array_equal(found.masks, local.masks)
    np.testing.assert_array_equal(found.panoptic().ids, local.panoptic().ids)
    np.testing.assert_array_equal(found.semantic(), local.panoptic().labels)
    for one, expected in zip(found, local, strict=True):
        assert (one.class_name, one.is_thing, one.box) == (expected.class_name, expected.is_thing, expected.box)
        assert [name for name, _ in one.top(5)] == [name for name, _ in expected.top(5)]
        np.testing.assert_allclose([one.score for one in found], [one.score for one in local], atol=1e-4)
    assert pickle.loads(pickle.dumps(found)).summary() == found.summary()


def test_options_and_every_form_of_images(client, model, path):
    pixels = ma.read_image(path)
    local = model.segment(pixels, "cat, wall", things="wall", background="none")
    for image in (pixels, Image.fromarray(pixels), str(path), client.encode_image(path)):
        found = client.segment(image, "cat, wall", things="wall", background="none")
        assert [one.is_thing for one in found] == [one.is_thing for one in local]
        assert found.background_text == "none"
        np.testing.assert_array_equal(found.masks, local.masks)
    assert len(client.segment(path, "cat, wall", background=None, score=1.0)) == 0
    assert client.segment(path, "cityscapes").vocabulary == ma.Vocabulary.builtin("cityscapes")


def test_a_classification_is_that_of_the_model(client, model, path):
    masks = np.zeros((3, 100, 150), bool)
    masks[0, 20:80, 30:120], masks[1, :20] = True, True
    found, local = client.classify(path, masks, CLASSES), model.classify(path, masks, CLASSES)
    assert isinstance(found, ma.Classification)
    np.testing.assert_array_equal(found.masks, masks)
    np.testing.assert_allclose(found.probs, local.probs, atol=1e-4)
    np.testing.assert_array_equal(found.labels, local.labels)


def test_an_image_that_lost_its_place_is_sent_again(client, address, path):
    sent = client.encode_image(path)
    cache = address[0].state.service.cache
    for number in range(2):
        client.encode_image(np.roll(ma.read_image(path), number + 1, axis=1))  # another image, as large as this one
    assert cache.peek(sent.id) is None
    assert len(client.segment(sent, CLASSES)) > 0


def test_refusals_and_a_missing_service_are_one_line(address, path):
    url = address[1]
    with pytest.raises(ma.MaskAdapterError, match="status 401: a token is needed"):
        ma.Client(url).segment(path, "cat")
    known = ma.Client(url, "open sesame")
    with pytest.raises(ma.MaskAdapterError, match=r"status 422: .*at most 500"):
        known.segment(path, [f"class {number}" for number in range(1000)])
    noise = np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), np.uint8)
    with pytest.raises(ma.MaskAdapterError, match="status 413: the body is larger than 1 MB"):
        known.encode_image(noise)
    with pytest.raises(ma.MaskAdapterError, match="does a service run there"):
        ma.Client("http://127.0.0.1:1").segment(path, "cat")
    with pytest.raises(ma.MaskAdapterError, match="not the address of a service"):
        ma.Client("127.0.0.1:8000")
    with pytest.raises(ma.MaskAdapterError, match="status 404"):
        ma.Client(f"{url}/elsewhere", "open sesame").encode_image(path)


def test_a_busy_service_is_asked_again(client, monkeypatch, photo):
    replies = [(429, 0.0, b'{"error": "busy"}'), (201, 0.0, b'{"id": "a"}')]
    monkeypatch.setattr(client, "_once", lambda path, body: replies.pop(0))
    assert client.encode_image(io.BytesIO(photo)).id == "a"
    assert replies == []
