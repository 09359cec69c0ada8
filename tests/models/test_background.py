"""Pixels that show none of the classes: the background vocabulary."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_segmenter import small

from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.results.postprocessing import PanopticMap, Segment, without_labels_from
from maskadapter.results.segmentation import NONE, Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary


def encoded(classes, rows):
    rows = torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=-1)
    return EncodedVocabulary(Vocabulary.of(classes), rows)


def test_classes_that_mean_nearly_the_same_do_not_compete():
    ours = encoded(["puppy", ("lawn", "turf")], [[1, 0, 0], [0, 1, 0], [0, 0.9, 0.1]])
    world = encoded(["sky", ("dog", "hound"), "grass"], [[0, 0, 1], [0.2, 0.2, 1], [1, 0.1, 0], [0, 1, 0.1]])
    both = ours.with_background(world, 0.9)
    assert both.vocabulary.classes == (("puppy",), ("lawn", "turf"), ("sky",))
    assert torch.equal(both.text_embeddings, torch.cat([ours.text_embeddings, world.text_embeddings[:1]]))
    assert both.vocabulary.is_thing[2] is False
    assert len(ours.with_background(world, 2.0).vocabulary) == 5
    assert len(ours.with_background(world, -1.0).vocabulary) == 2


def test_the_log_names_chosen_classes_that_do_not_compete(caplog):
    ours = encoded(["puppy"], [[1, 0, 0]])
    world = encoded(["sky", ("dog", "hound"), "car"], [[0, 0, 1], [1, 0.1, 0], [0, 1, 0], [0.99, 0, 0]])
    ours.with_background(world, 0.9)
    assert [record.getMessage() for record in caplog.records] == [
        "left out of the background, because they mean nearly the same as one of the classes: dog, car"
    ]
    caplog.clear()
    named = EncodedVocabulary(replace(world.vocabulary, name="world"), world.text_embeddings)
    ours.with_background(named, 0.9)
    assert not caplog.records


def test_how_close_is_nearly_the_same_depends_on_the_text_encoder():
    names = [f"name {index}" for index in range(40)]
    spread = torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    wide, narrow = encoded(names, spread.tolist()), encoded(names, (spread + 3).tolist())
    assert wide.confusable_similarity(0.97) < 0.4 < 0.8 < narrow.confusable_similarity(0.97)
    cosines = (wide.text_embeddings @ wide.text_embeddings.T)[~torch.eye(40, dtype=torch.bool)]
    assert (cosines >= wide.confusable_similarity(0.97)).float().mean() == pytest.approx(0.03, abs=0.002)
    assert encoded(["one"], [[1, 0]]).confusable_similarity(0.97) == 1


@pytest.fixture
def result():
    """Four quarters: cat, sky (background), wall, and one that nothing claims."""
    logits = torch.full((4, 8, 8), -10.0)
    for index, (top, left) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        logits[index, top : top + 4, left : left + 4] = 10
    # columns: cat, wall | sky, road | void
    probs = [[0.7, 0.1, 0.1, 0.1, 0], [0.2, 0, 0.6, 0.2, 0], [0, 0.8, 0, 0.1, 0.1], [0.02, 0.02, 0.03, 0.03, 0.9]]
    return Segmentation(
        np.zeros((32, 32, 3), np.uint8),
        Vocabulary.of("cat, wall"),
        logits,
        torch.tensor(probs),
        ImageSizes((32, 32), (32, 32), (32, 32)),
        background=("sky", "road"),
    )


def test_what_the_background_wins_is_none_of_the_classes(result):
    labels = result.semantic()
    assert (labels[:14, :14] == 0).all()
    assert (labels[:14, 18:] == -1).all()
    assert (labels[18:, :14] == 1).all()
    assert labels.max() == 1


def test_panoptic_and_instances_hold_the_classes_alone(result):
    panoptic = result.panoptic()
    assert [(segment.id, segment.label, segment.proposal) for segment in panoptic.segments] == [(1, 0, 0), (2, 1, 2)]
    assert sorted(np.unique(panoptic.ids)) == [0, 1, 2]
    assert [int((panoptic.ids == segment.id).sum()) for segment in panoptic.segments] == [
        segment.area for segment in panoptic.segments
    ]
    assert not panoptic.ids[:14, 18:].any()
    found = result.instances()
    assert set(found.labels) == {0}
    assert found.scores.max() == pytest.approx(0.7, abs=0.01)


def test_the_explanation_lists_the_classes_of_the_background(result):
    explained = {segment.name: segment for segment in result.explain(top=2)}
    assert set(explained) == {"cat", "wall", NONE}
    assert [name for name, _ in explained[NONE].classes] == ["sky", "cat"]
    assert explained[NONE].classes[0][1] == pytest.approx(0.6)
    assert explained["wall"].classes == (("wall", pytest.approx(0.8)), ("road", pytest.approx(0.1)))


def test_the_summary_counts_every_pixel_once(result):
    summary = result.summary()
    assert sum(entry["pixels"] for entry in summary["classes"]) + summary["none"]["pixels"] == 32 * 32
    assert sum(entry["share"] for entry in summary["classes"]) + summary["none"]["share"] == pytest.approx(1)
    assert [entry["name"] for entry in summary["classes"]] == ["cat", "wall"]
    assert {segment["name"] for segment in summary["segments"]} == {"cat", "wall", NONE}


def test_segments_are_numbered_without_gaps():
    ids = np.array([[1, 2], [3, 0]], np.int32)
    segments = tuple(Segment(i, label, True, 0.5, 1, i) for i, label in ((1, 7), (2, 0), (3, 1)))
    kept = without_labels_from(PanopticMap(ids, segments), 5)
    assert kept.ids.tolist() == [[0, 1], [2, 0]]
    assert [(segment.id, segment.label, segment.proposal) for segment in kept.segments] == [(1, 0, 2), (2, 1, 3)]
    empty = without_labels_from(PanopticMap(np.zeros((2, 2), np.int32), ()), 5)
    assert not empty.ids.any()
    assert empty.segments == ()


@pytest.fixture
def model(monkeypatch):
    """A small model that keeps the names which its text encoder reads."""
    model, names = small("pooling"), []
    encode = model.clip.encode_text
    monkeypatch.setattr(model.clip, "encode_text", lambda given: names.extend(given) or encode(given))
    model.names = names
    return model


def test_a_built_in_list_competes_with_nothing_and_encodes_its_own_names_alone(model):
    encoded = model.encode_image(np.full((32, 48, 3), 90, np.uint8))
    result = model.segment(encoded, "pascal-voc-20")
    assert result.background == ()
    assert set(model.names) == set(Vocabulary.builtin("pascal-voc-20").synonyms)
    with_world = model.segment(encoded, "pascal-voc-20", background="coco-stuff")
    assert len(with_world.background) > 50
    assert (
        model.segment(encoded, "cat, lamp").background
        == model.segment(encoded, "cat, lamp", background="coco-stuff").background
    )
    assert model.segment(encoded, "cat, lamp", background="none").background == ()
    own = model.segment(encoded, "cityscapes", background=model.encode_text("snow, ice"))
    assert set(own.background) <= {"snow", "ice"}


def test_names_in_a_script_that_the_text_encoder_does_not_know_are_said_once(model, caplog):
    for _ in range(2):
        model.encode_text("лиса, cat, 狐, ثعلب|fox")
    assert len(caplog.messages) == 1
    assert "match nothing: лиса, 狐; name them in English" in caplog.messages[0]
    model.clip.tokenizer = lambda texts: torch.zeros(len(texts), 77, dtype=torch.long)  # of a multilingual CLIP
    model.encode_text("狼, волк")
    assert len(caplog.messages) == 1
