"""Classes that were learned take the place of text embeddings, by name; nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_segmenter import small

import maskadapter as ma
from maskadapter.models.classifier import TextClassifier
from maskadapter.models.own_classes import OwnClasses

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)
MASKS = np.stack([np.tri(70, 110, dtype=bool), ~np.tri(70, 110, dtype=bool)])


@pytest.fixture
def model():
    return small("pooling")


def learn(model, *names):
    """Own classes that start as the text embeddings."""
    own = OwnClasses(names, model.clip.embed_dim)
    model.own_classes = own.start_from(model.text_classifier(model.encode_text(list(names)))).requires_grad_(False)
    return own


def test_they_start_as_the_text_embeddings(model):
    before = model.segment(IMAGE, ["cat", "dress"], background=None).probs
    learn(model, "dress", "cat")
    torch.testing.assert_close(model.segment(IMAGE, ["cat", "dress"], background=None).probs, before)


@pytest.mark.parametrize("name", ["dress", "Dress", "DRESS"])
def test_a_bias_in_both_classifiers_makes_a_class_win_by_its_name(model, name):
    own = learn(model, "dress")
    own.in_weights.bias.fill_(5.0)
    own.out_weights.bias.fill_(5.0)
    assert (model.segment(IMAGE, ["cat", name], background=None).semantic() == 1).all()
    assert list(model.classify(IMAGE, MASKS, ["cat", ("gown", name), "wall"]).labels) == [1, 1]


def test_other_classes_are_classified_as_before(model):
    before = model.segment(IMAGE, ["cat", "wall", "sky"]).probs, model.classify(IMAGE, MASKS, ["cat", "wall"]).probs
    own = learn(model, "dress")
    own.in_weights.bias.fill_(5.0)
    own.out_weights.bias.fill_(5.0)
    after = model.segment(IMAGE, ["cat", "wall", "sky"]).probs, model.classify(IMAGE, MASKS, ["cat", "wall"]).probs
    assert torch.equal(before[0], after[0])
    assert (before[1] == after[1]).all()


def test_own_classes_are_seen(model):
    inference = replace(model.inference, own_classes=("Frock",))
    vocabulary = ma.Vocabulary.of("cat, frock, gown|FROCK, weskit")
    assert model.inference.seen(vocabulary) == (True, False, False, False)
    assert inference.seen(vocabulary) == (True, True, True, False)


def test_a_bias_is_scaled_like_the_cosine():
    text = TextClassifier(torch.eye(3, 4), [1, 1], bias=torch.tensor([0.0, 0.5, 0.0]))
    logits = text.logits(torch.tensor([[[2.0, 0, 0, 0]]]), torch.tensor(10.0).log())
    torch.testing.assert_close(logits, torch.tensor([[[10.0, 5.0, 0.0]]]))


def test_what_was_learned_is_kept_in_the_file(tmp_path):
    model = ma.load()
    own = learn(model, "frock", "skin")
    own.in_weights.bias.copy_(torch.tensor([0.1, 0.2]))
    model.inference = replace(model.inference, own_classes=own.names)
    loaded = ma.load(ma.save(model, tmp_path / "model.safetensors", "tiny"))
    assert loaded.inference.own_classes == loaded.own_classes.names == ("frock", "skin")
    assert all(
        torch.equal(one, other) for one, other in zip(own.parameters(), loaded.own_classes.parameters(), strict=True)
    )
    again = OwnClasses(("skin", "frock", "hat"), model.clip.embed_dim)
    text = loaded.text_classifier(loaded.encode_text(["hat", "skin", "frock"]))
    again.start_from(text, loaded.own_classes)
    torch.testing.assert_close(again.in_weights.bias, torch.tensor([0.2, 0.1, 0.0]))
    torch.testing.assert_close(again.out_weights.weight[2], text.weights[0])
