"""A segmentation as a sequence of segments: of proposals, of given masks, and filtered."""

import json
import pickle

import numpy as np
import pytest
import torch
from small_segmenter import CLASSES, small

from maskadapter.errors import MaskAdapterError
from maskadapter.io import read_masks
from maskadapter.io.coco_format import decode_segmentation
from maskadapter.results.result_segment import NONE, classified, painted
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.compact_mask import CompactMask
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary

SIZE = (70, 110)
FORMATS = ["overlay", "labels", "panoptic", "coco", "summary"]


def quarters():
    """16 x 16: cat, road (background), a second cat, wall."""
    logits = torch.full((4, 16, 16), -10.0)
    for index, (top, left) in enumerate([(0, 0), (0, 8), (8, 0), (8, 8)]):
        logits[index, top : top + 8, left : left + 8] = 10
    # columns: cat, wall | sky, road | void
    probs = [[0.7, 0.1, 0.1, 0.1, 0], [0.1, 0, 0.3, 0.6, 0], [0.9, 0, 0, 0, 0.1], [0.1, 0.5, 0.1, 0.1, 0.2]]
    image, sizes = np.zeros((16, 16, 3), np.uint8), ImageSizes((16, 16), (16, 16), (16, 16))
    background = ("sky", "road")
    return Segmentation(image, Vocabulary.of("cat, wall"), logits, torch.tensor(probs), sizes, background)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def masks():
    """A large one, one inside it, one across its border, an empty one, one pixel, and the second once more."""
    masks = np.zeros((6, *SIZE), bool)
    masks[0, :50], masks[1, 10:20, 10:30], masks[2, 40:60, 40:70] = True, True, True
    masks[4, 69, 109] = True
    masks[5] = masks[1]
    return masks


@pytest.fixture(scope="module", params=[None, ["sky", "road", "dog"]])
def given(request, image, masks):
    return small().segment(image, CLASSES, masks=masks, background=request.param)


def test_segments_are_those_of_the_panoptic_map():
    result = quarters()
    assert len(result) == 3
    assert [one.class_name for one in result] == ["cat", "cat", "wall"]
    assert [(one.id, one.label, one.is_thing) for one in result] == [(1, 0, True), (2, 0, True), (3, 1, False)]
    assert [one.score for one in result] == pytest.approx([0.7, 0.9, 0.5])
    panoptic = result.panoptic()
    for one, segment in zip(result, panoptic.segments, strict=True):
        assert (one.id, one.label, one.area, one.score) == (segment.id, segment.label, segment.area, segment.score)
        np.testing.assert_array_equal(one.mask, panoptic.ids == one.id)
    np.testing.assert_array_equal(result.masks, panoptic.masks)
    assert result[1].box == (0, 8, 8, 16)
    assert result[-1].top(2) == [("wall", pytest.approx(0.5)), ("(nothing)", pytest.approx(0.2))]
    assert result[0].top(9)[0] == ("cat", pytest.approx(0.7))
    assert [one.id for one in result[1:]] == [2, 3]


def test_segments_that_the_background_won_are_explained_under_ids_after_the_others():
    result = quarters()
    explained = {one.segment.id: one for one in result.explain(top=1)}
    assert sorted(explained) == [1, 2, 3, 4]
    assert all(explained[one.id].name == one.class_name for one in result)
    assert explained[4].name == NONE
    assert explained[4].segment.label == -1
    assert explained[4].classes == (("road", pytest.approx(0.6)),)
    assert explained[4].segment.box == (8, 0, 16, 8)
    assert [one["id"] for one in result.summary()["segments"]] == [1, 2, 3, 4]


def test_scores_of_every_class_at_every_pixel():
    result = quarters()
    scores = result.semantic_scores()
    assert (scores.shape, scores.dtype) == ((2, 16, 16), np.float32)
    assert scores[:, 0, 0] == pytest.approx([0.7, 0.1], abs=1e-3)
    without = small().segment(np.zeros((*SIZE, 3), np.uint8), CLASSES, background=None)
    np.testing.assert_array_equal(without.semantic_scores().argmax(axis=0), without.semantic())
    sizes = ImageSizes((16, 16), (16, 16), (9, 7))
    none = Segmentation(
        np.zeros((9, 7, 3), np.uint8), Vocabulary.of("cat"), torch.zeros(0, 4, 4), torch.zeros(0, 2), sizes
    )
    assert none.semantic_scores().shape == (1, 9, 7)
    assert not none.semantic_scores().any()


def test_every_given_mask_stays_one_segment(given, masks):
    np.testing.assert_array_equal(given.masks, masks)
    assert [one.id for one in given] == [1, 2, 3, 4, 5, 6]
    assert [one.area for one in given] == masks.sum(axis=(1, 2)).tolist()
    assert sorted(one.segment.id for one in given.explain()) == [1, 2, 3, 4, 5, 6]
    for one in given:
        if one.id != 4:
            assert one.top(1)[0][1] == pytest.approx(one.score)
            assert (one.label == -1) == (one.top(1)[0][0] in given.background)


def test_an_empty_mask_has_no_class(given):
    empty = given[3]
    assert (empty.label, empty.class_name, empty.area, empty.box) == (-1, NONE, 0, (0, 0, 0, 0))
    assert np.isnan(empty.score)
    assert empty.top() == []
    assert not empty.is_thing
    assert len(given.filter()) == sum(one.label >= 0 for one in given)


def test_given_masks_get_one_of_the_classes_and_those_of_a_source_compete(image, masks):
    model = small()
    own = model.segment(image, CLASSES, masks=masks)
    assert own.background == ()
    assert [one.label >= 0 for one in own] == masks.any(axis=(1, 2)).tolist()
    assert model.segment(model.encode_image(image, masks), CLASSES).background == ()
    assert model.segment(image, CLASSES, masks=lambda _: masks).background_list == "coco-stuff"


def test_overlapped_pixels_go_to_the_smaller_mask(image, masks):
    result = small().segment(image, CLASSES, masks=masks, background=None)
    ids = result.panoptic().ids
    assert ids[0, 0] == 1
    assert ids[15, 15] == 2  # of the two that are equal the first
    assert ids[45, 45] == ids[55, 45] == 3
    assert ids[69, 109] == 5
    assert ids[65, 0] == 0
    assert [segment.id for segment in result.panoptic().segments] == [1, 2, 3, 5]
    assert [segment.area for segment in result.panoptic().segments] == [(ids == key).sum() for key in (1, 2, 3, 5)]
    found = result.instances()
    assert sorted(found.scores, reverse=True) == found.scores.tolist()
    assert len(found.masks) == sum(one.is_thing for one in result)


def test_a_mask_that_the_background_wins_leaves_its_pixels_empty(masks):
    probs = np.array([[0.9, 0.1], [0.2, 0.8], *[[0.6, 0.4]] * 4], np.float32)
    found = classified([CompactMask.of(mask) for mask in masks], probs, Vocabulary.of("cat"), ["sky"])
    assert [one.label for one in found] == [0, -1, 0, -1, 0, 0]
    panoptic = painted(found[:5], SIZE)
    assert panoptic.ids[15, 15] == 0  # the second mask lies on the first
    assert panoptic.ids[5, 5] == 1
    assert [segment.id for segment in panoptic.segments] == [1, 3, 5]
    assert found[1].top(1) == [("sky", pytest.approx(0.8))]


@pytest.mark.parametrize("background", [None, ["sky", "road", "dog"]])
def test_given_masks_vote_for_the_class_of_their_pixels(image, masks, background):
    result = small().segment(image, CLASSES, masks=masks, background=background)
    probs = result.probs[:, :-1].numpy()
    scores = np.einsum("nk,nhw->khw", probs, masks.astype(np.float32))
    np.testing.assert_allclose(result.semantic_scores(), scores[:3], atol=1e-6)
    expected = np.where(masks.any(axis=0), scores.argmax(axis=0), -1)
    expected[expected >= 3] = -1
    np.testing.assert_array_equal(result.semantic(), expected)
    assert result.semantic()[65, 0] == -1


def test_given_masks_are_saved_one_by_one(given, masks, tmp_path):
    paths = {path.name: path for path in given.save(tmp_path, FORMATS)}
    annotations = json.loads(paths["image-instances.json"].read_text())["annotations"]
    named = [one for one in given if one.label >= 0]
    assert [one["id"] for one in annotations] == [one.id for one in named]
    assert [one["category_id"] for one in annotations] == [one.label + 1 for one in named]
    for one in annotations:
        np.testing.assert_array_equal(decode_segmentation(one["segmentation"], SIZE), masks[one["id"] - 1])
    summary = json.loads(paths["image-summary.json"].read_text(), parse_constant=pytest.fail)  # JSON has no NaN
    assert len(summary["segments"]) == 6
    assert len(given.to_supervision()) == len(named)


def test_results_of_given_masks_are_small_and_the_same_after_pickling(given):
    given.semantic(), given.overlay()
    content = pickle.dumps(given)
    assert len(content) < given.image.nbytes + 30_000
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.masks, given.masks)
    np.testing.assert_array_equal(again.semantic(), given.semantic())
    assert [one.top() for one in again] == [one.top() for one in given]


def test_results_share_no_memory_with_given_masks_and_frames(image, masks):
    """A video reader fills the same buffers again."""
    model, frame, buffer = small(), image.copy(), masks.copy()
    result = model.segment(frame, CLASSES, masks=buffer)
    before = result.semantic().copy()
    frame[:], buffer[:] = 0, True
    again = pickle.loads(pickle.dumps(result))  # nothing that was computed before
    np.testing.assert_array_equal(result.image, image)
    np.testing.assert_array_equal(again.masks, masks)
    np.testing.assert_array_equal(again.semantic(), before)
    result.masks[:] = True
    result[0].mask[:] = False
    np.testing.assert_array_equal(result.masks, masks)


def test_maps_of_a_result_cannot_be_changed_by_mistake():
    for array in (quarters().semantic(), quarters().panoptic().ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 7


def test_a_result_is_pickled_without_what_was_computed_of_it():
    result = quarters()
    before = len(pickle.dumps(result))
    result.semantic(), result.panoptic(), result.explain()
    assert len(pickle.dumps(result)) == before


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, [1, 2, 3]),
        ({"score": 0.6}, [1, 2]),
        ({"classes": "wall"}, [3]),
        ({"classes": "WALL"}, [3]),
        ({"classes": ["cat", "wall"], "score": 0.8}, [2]),
        ({"classes": "cat|wall"}, [1, 2, 3]),
        ({"classes": [("wall", "cat")]}, [1, 2, 3]),
        ({"score": 1.0}, []),
    ],
)
def test_filter_keeps_segments_and_their_ids(options, ids, tmp_path):
    result = quarters()
    kept = result.filter(**options)
    assert isinstance(kept, Segmentation)
    assert [one.id for one in kept] == ids
    np.testing.assert_array_equal(
        kept.panoptic().ids, np.where(np.isin(result.panoptic().ids, ids), result.panoptic().ids, 0)
    )
    assert [one.id for one in kept.panoptic().segments] == ids
    np.testing.assert_array_equal(kept.semantic() >= 0, kept.masks.any(axis=0))
    assert len(kept.instances().masks) == sum(one.is_thing for one in kept)
    assert len(kept.save(tmp_path, FORMATS)) == 7
    assert [one.id for one in kept.filter(classes="cat")] == [key for key in ids if key < 3]
    assert len(result) == 3


def test_what_cannot_be_filtered_by_is_one_line():
    with pytest.raises(MaskAdapterError, match='"dog" is none of the classes'):
        quarters().filter(classes="cat, dog")
    with pytest.raises(MaskAdapterError, match="score is 50: a number from 0 to 1 is needed"):
        quarters().filter(score=50)


def test_synonyms_filter_too(image):
    result = small().segment(image, CLASSES, background=None)
    assert [one.id for one in result.filter(classes=["couch"])] == [
        one.id for one in result if one.class_name == "sofa"
    ]


def test_a_result_says_which_background_applied(image):
    model = small()
    applied = {"coco-stuff": "coco-stuff", "sky, dog": "sky, dog", "none": "none", None: "none"}
    for background, text in applied.items():
        result = model.segment(image, ["cat"], background=background)
        assert result.summary()["background"] == text
        assert f"background: {text.replace('sky, dog', '2')})" in repr(result)


@pytest.mark.parametrize("part", [lambda result: result, Segmentation.panoptic, Segmentation.instances])
def test_the_masks_of_a_result_can_be_given(part):
    given = part(quarters())
    np.testing.assert_array_equal(read_masks(given, quarters().size), given.masks)
    assert len(given.masks) >= 2
