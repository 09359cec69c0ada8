"""Roboflow's requests, as its client sends them, and the reply that it documents."""

import pytest
from labeling_client import SIZE, bright_mask, client, filled, halves, image_text, iou
from pycocotools import mask as rle

from maskadapter.integrations.labeling_servers import roboflow_routes


def recorded(**changes):
    return {
        "api_key": "",
        "model_id": "sam3/sam3_final",
        "prompts": [{"type": "text", "text": "cat"}, {"type": "text", "text": "wall|facade"}],
        "output_prob_thresh": 0.5,
        "format": "polygon",
        "image": {"type": "base64", "value": image_text()},
    } | changes


def ask(body):
    return client(roboflow_routes(halves)).post("/roboflow/sam3/concept_segment", json=body)


def test_every_prompt_has_its_masks():
    reply = ask(recorded()).json()
    assert reply.keys() == {"prompt_results", "time"}
    first, second = reply["prompt_results"]
    assert first["prompt_index"] == 0
    assert first["echo"] == {"prompt_index": 0, "type": "text", "text": "cat", "num_boxes": 0}
    assert second["echo"]["text"] == "wall|facade"
    (cat,) = first["predictions"]
    assert cat.keys() == {"masks", "confidence", "format"}
    assert (cat["format"], cat["confidence"]) == ("polygon", 0.9)
    assert len(cat["masks"]) == 2
    assert all(type(number) is int for ring in cat["masks"] for point in ring for number in point)
    assert iou(filled(cat["masks"]), bright_mask()) > 0.9


def test_run_lengths_are_cocos():
    (cat,) = ask(recorded(format="rle")).json()["prompt_results"][0]["predictions"]
    assert cat["format"] == "rle"
    assert cat["masks"]["size"] == list(SIZE)
    assert (rle.decode(cat["masks"]).astype(bool) == bright_mask()).all()


def test_thresholds_of_the_request_and_of_a_prompt():
    def counts(**changes):
        return [len(one["predictions"]) for one in ask(recorded(**changes)).json()["prompt_results"]]

    assert counts() == [1, 1]
    assert counts(output_prob_thresh=0.7) == [1, 0]
    prompts = [{"text": "cat", "output_prob_thresh": 0.95}, {"text": "wall", "output_prob_thresh": 0}]
    assert counts(prompts=prompts, output_prob_thresh=0.7) == [0, 1]
    assert counts(output_prob_thresh=None) == [1, 1]


def test_a_prompt_given_twice_is_answered_twice():
    prompts = [{"text": "cat"}, {"text": "Cat"}, {"text": "wall"}]
    results = ask(recorded(prompts=prompts)).json()["prompt_results"]
    assert [len(one["predictions"]) for one in results] == [1, 1, 1]
    assert results[0]["predictions"] == results[1]["predictions"]


def test_an_image_of_more_pixels_than_allowed_is_not_decoded():
    asked = client(roboflow_routes(halves, max_pixels=SIZE[0] * SIZE[1] - 1))
    answer = asked.post("/roboflow/sam3/concept_segment", json=recorded())
    assert answer.status_code == 422
    assert "60 x 40 pixels, more than" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image": {"type": "url", "value": "http://localhost/a.png"}}, "an image of type 'url' is not read"),
        ({"image": {"type": "numpy", "value": "gASV"}}, "an image of type 'numpy' is not read"),
        ({"image": {"type": "u" * 1000, "value": ""}}, f"an image of type '{'u' * 40}' is not read"),
        ({"image": {"type": "base64"}}, "an image of type 'base64' is not read"),
        ({"image": {"type": "base64", "value": "/etc/passwd"}}, "the image is not base64"),
        ({"prompts": []}, "prompts: "),
        ({"prompts": [{"type": "visual", "boxes": [[0, 0, 5, 5]]}]}, "prompt 0 has boxes or no text"),
        ({"prompts": [{"text": "cat"}, {"text": " | "}]}, "prompt 1 has boxes or no text"),
        ({"prompts": [{"text": "cat"}] * 501}, "prompts: "),
        ({"format": "binary"}, "format: "),
        ({"output_prob_thresh": 2}, "output_prob_thresh: "),
        ({"output_prob_thresh": -0.1}, "output_prob_thresh: "),
        ({"prompts": [{"text": "cat", "output_prob_thresh": 2}]}, "prompts.0.output_prob_thresh: "),
    ],
)
def test_what_cannot_be_read(changes, sentence):
    answer = ask(recorded(**changes))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)
