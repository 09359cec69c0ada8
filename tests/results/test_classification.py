"""Classified masks: each keeps its identity in every form, whether it overlaps others or is empty."""

import csv
import json
import pickle

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from small_results import classification

from maskadapter.errors import MaskAdapterError
from maskadapter.results.classification import MASK_ENDINGS, Classification
from maskadapter.results.mask_table import COLUMNS

CLASSES = "cat, sofa|couch, wall"
SIZE = (40, 60)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """A large mask, a small one inside it, the same small one again, and an empty one."""
    masks = np.zeros((4, *SIZE), bool)
    masks[0, 5:35, 10:50], masks[1:3, 10:20, 20:30] = True, True
    return masks


@pytest.fixture(scope="module")
def result(masks: np.ndarray) -> Classification:
    probs = [[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [np.nan] * 3]
    return classification(CLASSES, probs, masks)


def test_every_mask_is_a_segment(result, masks):
    assert len(result) == 4
    assert [(one.id, one.class_name) for one in result] == [(1, "wall"), (2, "cat"), (3, "sofa"), (4, "none of them")]
    assert result.labels.tolist() == [2, 0, 1, -1]
    np.testing.assert_array_equal(result.scores, np.array([0.7, 0.6, 0.5, np.nan], np.float32))
    np.testing.assert_array_equal(result.masks, masks)
    assert (result[1].box, result[1].area) == ((20, 10, 30, 20), 100)
    assert result[0].top(2) == [("wall", pytest.approx(0.7)), ("sofa", pytest.approx(0.2))]
    assert "3 cat" not in repr(result)
    assert "1 cat" in repr(result)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(result)).masks, masks)


def test_the_best_classes_of_every_mask():
    named = classification("cat, dog, cow", [[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    assert named.top(2) == [
        [("dog", pytest.approx(0.5)), ("cow", pytest.approx(0.3))],
        [("cat", pytest.approx(0.4)), ("cow", pytest.approx(0.4))],
    ]
    assert [len(row) for row in named.top(10)] == [3, 3]
    none = classification("cat", np.zeros((0, 1)))
    assert (none.top(), none.probs.shape, none.labels.tolist()) == ([], (0, 1), [])


def test_an_empty_mask_has_no_class(result):
    assert np.isnan(result.probs).all(axis=1).tolist() == [False, False, False, True]
    assert [len(row) for row in result.top()] == [3, 3, 3, 0]
    assert (result[3].label, result[3].area, result[3].box) == (-1, 0, (0, 0, 0, 0))
    assert np.isnan(result[3].score)


@pytest.mark.parametrize(
    ("chosen", "ids"), [({"score": 0.55}, [1, 2]), ({"classes": "couch"}, [3]), ({"classes": ["cat", "wall"]}, [1, 2])]
)
def test_a_filtered_result_keeps_ids(result, masks, chosen, ids):
    kept = result.filter(**chosen)
    assert [segment.id for segment in kept] == ids
    np.testing.assert_array_equal(kept.masks, masks[np.array(ids) - 1])
    np.testing.assert_array_equal(kept.probs, result.probs[np.array(ids) - 1])


def test_overlaps_of_the_label_map_go_to_the_smaller_mask(result, tmp_path):
    labels = result.label_map()
    assert (labels[0, 0], labels[6, 12], labels[15, 25]) == (-1, 2, 0)
    label_file, classes = result.save(tmp_path, "labels")
    assert np.asarray(Image.open(label_file))[15, 25] == 1
    assert json.loads(classes.read_text()) == {"1": "cat", "2": "sofa", "3": "wall"}


def test_coco_has_every_mask_that_is_not_empty(result, masks, tmp_path):
    (path,) = result.save(tmp_path, "coco", stem="photo")
    assert path == tmp_path / "photo-instances.json"
    coco = COCO(path)
    assert coco.getAnnIds() == [1, 2, 3]
    for annotation, mask, category in zip(coco.loadAnns([1, 2, 3]), masks, [3, 1, 2], strict=False):
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation["category_id"] == category
    assert [one["score"] for one in coco.loadAnns([1, 2, 3])] == pytest.approx([0.7, 0.6, 0.5])


def test_tables_have_every_mask(result, tmp_path):
    table, summary = result.save(tmp_path, ("json", "csv"))
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["image"], row["mask"], row["class"], row["area"]) for row in rows] == [
        ("image.png", "1", "wall", "1200"),
        ("image.png", "2", "cat", "100"),
        ("image.png", "3", "sofa", "100"),
        ("image.png", "4", "", "0"),
    ]
    assert [rows[1][name] for name in ("left", "top", "right", "bottom", "class_2", "class_4")] == [
        *("20", "10", "30", "20", "sofa", ""),
    ]
    content = json.loads(summary.read_text())
    assert [(one["id"], one["name"]) for one in content["masks"]][3] == (4, "none of them")
    assert (content["masks"][3]["score"], content["masks"][3]["classes"]) == (None, [])
    assert content["masks"][1]["classes"][0] == {"name": "cat", "probability": pytest.approx(0.6)}


def test_names_with_commas_quotes_and_lines_stay_one_cell(tmp_path):
    names = ['a "b", c', "naïve\u2028", "x\ny"]
    (path,) = classification([[name] for name in names], [[0.5, 0.3, 0.2]]).save(tmp_path, "csv")
    with path.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    saved = [row["class"], row["class_2"], row["class_3"]]
    assert saved == [classification([[name] for name in names], [[1, 0, 0]]).class_names[i] for i in range(3)]


@pytest.mark.parametrize("probs", [np.zeros((0, 3)), [[np.nan] * 3], [[0.2, 0.3, 0.5]]])
def test_every_format_whatever_was_given(tmp_path, probs):
    made = classification(CLASSES, probs)
    for format, endings in MASK_ENDINGS.items():
        paths = made.save(tmp_path, format, stem="a/b")
        assert [path.relative_to(tmp_path).as_posix() for path in paths] == [f"a/b{ending}" for ending in endings]
        assert all(path.stat().st_size for path in paths)
    with pytest.raises(MaskAdapterError, match="unknown format 'panoptic': choose from overlay, labels, coco, csv"):
        made.save(tmp_path, "panoptic")


@pytest.mark.parametrize("annotator", ["MaskAnnotator", "BoxAnnotator", "LabelAnnotator", "PolygonAnnotator"])
def test_supervision_draws_it(result, annotator):
    supervision = pytest.importorskip("supervision")
    detections = result.to_supervision()
    assert detections.class_id.tolist() == [2, 0, 1]
    assert detections.data["class_name"].tolist() == ["wall", "cat", "sofa"]
    scene = np.zeros((*SIZE, 3), np.uint8)
    assert getattr(supervision, annotator)().annotate(scene.copy(), detections).any()
    nothing = result.filter(score=1.0).to_supervision()
    assert nothing.mask.shape == (0, *SIZE)
    assert not getattr(supervision, annotator)().annotate(scene.copy(), nothing).any()
