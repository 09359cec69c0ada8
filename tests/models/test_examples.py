"""Classes given by examples: masks of images that show them."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_segmenter import small

import maskadapter as ma
from maskadapter.models.preprocess import InputSize

RED, GREEN, BLUE = (np.full((64, 96, 3), color, np.uint8) for color in [(220, 20, 20), (20, 200, 30), (30, 30, 230)])
LEFT = np.zeros((64, 96), bool)
LEFT[8:56, 4:44] = True
# A red thing on a green ground, and the same with a blue thing.
RED_THING, BLUE_THING = (np.where(LEFT[..., None], thing, GREEN) for thing in (RED, BLUE))


@pytest.fixture(params=["pooling", "adapter", "maft", "pruned"])
def model(request):
    model = small("pooling" if request.param == "pooling" else "adapter", maft=request.param == "maft")
    model.inference = replace(model.inference, prune_proposals=request.param == "pruned")
    return model


@pytest.fixture(scope="module")
def tiny():
    model = ma.load()
    model.inference = replace(model.inference, input_size=InputSize(256, 256))  # quicker
    return model


def test_an_example_stands_wherever_a_class_name_does(model):
    gizmo = ma.Example("gizmo|widget", [(RED_THING, LEFT)])
    classes = ["cat", gizmo, ("sofa", "couch")]
    result = model.segment(RED_THING, classes, background=None)
    assert result.class_names == ("cat", "gizmo", "sofa")
    assert result.vocabulary.classes[1] == ("gizmo", "widget")
    assert model.classify(RED_THING, LEFT[None], classes).class_names == ("cat", "gizmo", "sofa")
    assert model.segment(RED_THING, gizmo).class_names == ("gizmo",)
    encoded = model.encode_text(iter(classes), things=["cat"])
    assert encoded.vocabulary.is_thing == (True, False, False)
    again = model.segment(RED_THING, encoded, background=None)
    assert torch.equal(again.probs, result.probs)


def test_only_the_class_with_examples_changes(model):
    plain = model.encode_text(["cat", ("sofa", "couch")]).text_embeddings
    moved = model.encode_text(["cat", ma.Example("sofa|couch", [(RED_THING, LEFT)])]).text_embeddings
    assert torch.equal(moved[0], plain[0])
    assert not torch.isclose(moved[1:], plain[1:]).all(dim=1).any()


@pytest.mark.parametrize("text", [True, False])
def test_what_an_example_shows_becomes_more_probable(tiny, text):
    names, gizmo = ["cat", "sofa", "gizmo"], ma.Example("gizmo", [(RED_THING, LEFT)], text=text)

    def probability(classes, image, mask):
        return tiny.classify(image, mask, classes).probs[0, 2]

    gained = [
        probability([*names[:2], gizmo], image, mask) / probability(names, image, mask)
        for image, mask in [(RED_THING, LEFT), (BLUE_THING, ~LEFT)]
    ]
    assert gained[0] > 1
    assert gained[0] > 1.5 * gained[1]


def test_a_name_that_says_nothing_is_not_read(tiny):
    same = [ma.Example(name, [(RED_THING, LEFT)], text=False) for name in ("gizmo", "cat")]
    one, other = (tiny.encode_text(example).text_embeddings for example in same)
    torch.testing.assert_close(one, other)


def test_more_examples_weigh_more(tiny):
    plain = tiny.encode_text("gizmo").text_embeddings
    one, two, ten = (
        tiny.encode_text(ma.Example("gizmo", [(RED_THING, LEFT)] * count)).text_embeddings for count in (1, 2, 10)
    )
    distances = [float((moved - plain).norm()) for moved in (one, two, ten)]
    assert distances == sorted(distances)
    assert distances[2] > 1.5 * distances[0]


def test_every_mask_is_an_example_in_whatever_way_they_are_given(tiny):
    apart = ma.Example("gizmo", [(RED_THING, LEFT), (RED_THING, ~LEFT), (BLUE_THING, LEFT)])
    together = ma.Example("gizmo", [(RED_THING, [LEFT, ~LEFT]), (tiny.encode_image(BLUE_THING), LEFT.astype(np.uint8))])
    joined = [ma.Example("Gizmo", apart.masks[:2]), ma.Example("gizmo", apart.masks[2:])]
    expected = tiny.encode_text(apart).text_embeddings
    torch.testing.assert_close(tiny.encode_text(together).text_embeddings, expected)
    torch.testing.assert_close(tiny.encode_text(joined).text_embeddings, expected)


def test_an_example_is_computed_once_for_a_model_and_again_for_its_copy(monkeypatch):
    model, calls = small("pooling"), []
    gizmo = ma.Example("gizmo", [(RED_THING, LEFT)])
    encode = model.clip.encode_image
    monkeypatch.setattr(model.clip, "encode_image", lambda images: calls.append(1) or encode(images))
    image = model.encode_image(BLUE_THING)
    for _ in range(3):
        model.segment(image, ["cat", gizmo], background=None)
    assert len(calls) == 2  # the image and the example
    embeddings = model.encode_text(gizmo).text_embeddings
    monkeypatch.undo()
    other = copy.deepcopy(model)
    torch.testing.assert_close(other.encode_text(pickle.loads(pickle.dumps(gizmo))).text_embeddings, embeddings)


@pytest.mark.parametrize(
    ("name", "masks", "message"),
    [
        ("gizmo", [], 'example "gizmo" has no masks'),
        ("gizmo", LEFT, 'example "gizmo" got masks of type ndarray: a list of pairs'),
        ("gizmo", [LEFT], 'example "gizmo", number 1 is not a pair'),
        ("gizmo| ", [(RED_THING, LEFT)], "an example has the name 'gizmo| '"),
        (7, [(RED_THING, LEFT)], "an example has the name 7"),
        ("gizmo", [(RED_THING, LEFT), (RED_THING, LEFT & False)], 'example "gizmo", image 2: mask 1 is empty'),
        ("gizmo", [(RED_THING, LEFT | True)], 'example "gizmo", image 1: a mask covers the whole image'),
        ("gizmo", [(RED_THING, np.zeros((0, 64, 96), bool))], 'example "gizmo", image 1 has no mask'),
        ("gizmo", [(RED_THING, LEFT[1:])], 'example "gizmo", image 1: .* 96 x 63 pixels for an image of 96 x 64'),
        ("gizmo", [("no-such.png", LEFT)], "no-such.png"),
    ],
)
def test_mistakes_are_one_line(name, masks, message):
    with pytest.raises(ma.MaskAdapterError, match=message) as caught:
        small("pooling").encode_text(["cat", ma.Example(name, masks)])
    assert "\n" not in str(caught.value)


def test_what_the_background_calls_a_shown_thing_does_not_compete():
    from skimage import data

    photo, tiny = data.chelsea(), ma.load()
    cat = max(tiny.segment(photo, "cat, wall"), key=lambda one: one.area)
    assert cat.class_name == "cat"
    classes = ["wall", ma.Example("gizmo", [(photo, cat.mask)], text=False)]
    for asked in (classes, tiny.encode_text(classes)):
        found = tiny.segment(photo, asked)
        assert max(found, key=lambda one: one.area).class_name == "gizmo"
        assert "cat" not in found.background
        assert "dog" in found.background
