"""COCO files keep their content, and pycocotools reads them."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

from maskadapter.errors import MaskError
from maskadapter.io.coco_format import (
    comparable_id,
    decode_segmentation,
    encode_mask,
    panoptic_ids,
    panoptic_image,
)
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary


@pytest.fixture
def result() -> Segmentation:
    generator = torch.Generator().manual_seed(0)
    masks = F.interpolate(torch.randn(1, 12, 4, 4, generator=generator) * 6, (16, 24), mode="bicubic")[0]
    probs = (torch.randn(12, 6, generator=generator) * 3).softmax(-1)
    vocabulary = Vocabulary.of(["cat", "sky", "chair", "wall", "dog"])
    image = np.zeros((101, 173, 3), np.uint8)
    return Segmentation(
        image,
        vocabulary,
        masks,
        probs,
        ImageSizes((64, 96), (53, 91), (101, 173)),
        overlap_threshold=0.1,
        file_name="a.jpg",
    )


def test_run_lengths_come_back() -> None:
    for seed in range(20):
        # Long runs and short ones: both take several letters, and differences of either sign.
        mask = np.random.default_rng(seed).random((310, 170)) > (0.4, 0.01, 0.999, 0.0)[seed % 4]
        np.testing.assert_array_equal(decode_segmentation(json.loads(json.dumps(encode_mask(mask))), (310, 170)), mask)


SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
POLYGONS = st.lists(
    st.lists(st.floats(-12, 24, width=32), min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0), min_size=1
)


@settings(derandomize=True)
@given(arrays.arrays(bool, SHAPES))
def test_any_mask_comes_back_from_every_notation(mask: np.ndarray) -> None:
    encoded = encode_mask(mask)
    edges = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=False, append=~mask.ravel(order="F")[-1]))
    uncompressed = {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()}
    as_bytes = {**encoded, "counts": encoded["counts"].encode()}
    for notation in (encoded, as_bytes, uncompressed):
        np.testing.assert_array_equal(decode_segmentation(notation, mask.shape), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@settings(derandomize=True)
@given(POLYGONS, st.tuples(st.integers(12, 20), st.integers(12, 20)))
def test_polygons_are_drawn_as_pycocotools_draws_them(polygons: list[list[float]], size: tuple[int, int]) -> None:
    expected = np.zeros(size, bool)
    for polygon in polygons:
        expected |= rle.decode(rle.frPyObjects([polygon], *size))[..., 0].astype(bool)
    if expected.any() and max(map(max, polygons)) > 1.5:
        np.testing.assert_array_equal(decode_segmentation(polygons, size), expected)


SQUARE = [10, 10, 40, 10, 40, 30, 10, 30]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "empty: a box alone"),
        ([[]], "no polygon has three points"),
        ([[10, 10], [40, 10], [40, 30], [10, 30]], "no polygon has three points"),
        ([[10, 10, 40, 30]], "no polygon has three points"),
        ([[[10, 10], [40, 10], [40, 30]]], "one flat list"),
        ([[SQUARE]], "one flat list"),
        (SQUARE, "one flat list"),
        ([SQUARE, [10, 10, 40, 10, 40, 30, 10]], "7 numbers"),
        ([[10, 10, 40, None, 40, 30]], "one flat list"),
        ([["10", "10", "40", "10", "40", "30"]], "one flat list"),
        ([[10, 10, 10**400, 10, 40, 30]], "one flat list"),
        ([[True, False, True, True, False, True]], "one flat list"),
        ([[10, 10, float("nan"), 10, 40, 30]], "not finite"),
        ([[10, 10, float("inf"), 10, 40, 30]], "not finite"),
        ([[0, 0, 1e9, 0, 1e9, 1e9]], r"x = 1e\+09 in an image of 90 x 60"),
        ([[0, 0, 1e8, 0, 40, 40]], r"x = 1e\+08"),
        ([[0, 0, 50, -1e12, 50, 50]], r"y = -1e\+12"),
        ([[0, 0, 50, 1e6, 50, 50]], r"y = 1e\+06"),
        ([[0.1, 0.1, 0.9, 0.1, 0.9, 0.8]], "multiply x by 90 and y by 60"),
        ([[0, 0, 1.01, 0, 1, 1]], "multiply x by 90"),
        ([[100, 70, 150, 70, 150, 110]], "cover no pixel"),
        ([[0, 0, 89, 59] * 200_000], "longer than 5,000,000 pixels"),
        ("polygons", "polygons or run lengths are needed"),
        (None, "polygons or run lengths are needed"),
        ({"size": [60, 90], "counts": [2700.5, 2699.5]}, "not a whole number"),
        ({"size": [60, 90], "counts": [float("nan"), 5400]}, "not a whole number"),
        ({"size": [60, 90], "counts": [float("inf"), 5400]}, "not a whole number"),
        ({"size": [60, 90], "counts": "ooo"}, "end early"),
        ({"size": [60, 90], "counts": "o" * 10_000 + "0"}, "a run of too many letters"),
        ({"size": [60, 90], "counts": [0, 2**64]}, "whole numbers"),
        ({"size": [60, 90], "counts": [2**63, 2**63]}, "above the 5400 pixels"),
        ({"size": [60, 90], "counts": [-5400, 10800]}, "run below 0"),
        ({"size": [60, 90], "counts": ["2700", "2700"]}, "whole numbers"),
        ({"size": [60, 90], "counts": [[0, 5400]]}, "whole numbers"),
        ({"size": [90, 60], "counts": [0, 5400]}, "60 x 90 pixels came with an image of 90 x 60"),
        ({"size": 5400, "counts": [0, 5400]}, "polygons or run lengths are needed"),
    ],
)
def test_a_segmentation_that_is_not_plain_is_refused(segmentation: object, message: str) -> None:
    with pytest.raises(MaskError, match=message) as refused:
        decode_segmentation(segmentation, (60, 90))
    assert "\n" not in str(refused.value)


def test_polygons_of_two_points_and_below_a_pixel_are_no_fault() -> None:
    assert decode_segmentation([[5, 5, 6, 6], SQUARE], (60, 90)).sum() == 600
    assert decode_segmentation([[5.1, 5.1, 5.2, 5.1, 5.2, 5.2]], (60, 90)).sum() == 0
    assert decode_segmentation([[-50, -50, 900, -50, 900, 900, -50, 900]], (60, 90)).all()
    assert decode_segmentation([[-20, 10, 40, 10, 40, 30, -20, 30]], (60, 90)).sum() == 800


def test_ids_are_compared_in_one_form() -> None:
    assert {comparable_id(value) for value in (1, 1.0, "1", "1.0", " 1 ", np.int64(1), np.float32(1))} == {1}
    assert [comparable_id(v) for v in ("a7", "007", 1.5, -3.0, 2**70, "-0")] == ["a7", "007", 1.5, -3, 2**70, "-0"]
    for value in (None, True, "", [1], {}, float("nan"), float("inf")):
        with pytest.raises(MaskError, match="an id is a number or a text, not"):
            comparable_id(value)


@settings(derandomize=True)
@given(st.text(max_size=8) | st.lists(st.integers(-3, 9), max_size=6) | st.none() | st.binary(max_size=8))
def test_any_counts_are_a_mask_of_the_size_or_refused(counts: object) -> None:
    try:
        shape = decode_segmentation({"size": [2, 3], "counts": counts}, (2, 3)).shape
    except MaskError as refused:
        shape, message = (2, 3), str(refused)
        assert message.count("\n") == 0
    assert shape == (2, 3)


def test_panoptic_ids_survive_the_image() -> None:
    ids = np.array([[0, 1, 255], [256, 65535, 16777215]], np.int32)
    np.testing.assert_array_equal(panoptic_ids(np.asarray(panoptic_image(ids))), ids)


def test_the_panoptic_files_say_what_the_map_says(result: Segmentation, tmp_path) -> None:
    image, text = result.save(tmp_path, "panoptic")
    assert (image.name, text.name) == ("a-panoptic.png", "a-panoptic.json")
    panoptic, content = result.panoptic(), json.loads(text.read_text())
    ids = panoptic_ids(np.asarray(Image.open(image)))
    np.testing.assert_array_equal(ids, panoptic.ids)
    (annotation,) = content["annotations"]
    assert annotation["file_name"] == image.name
    assert len(annotation["segments_info"]) > 1
    assert {s["id"] for s in annotation["segments_info"]} == set(np.unique(ids)) - {0}
    names = {category["id"]: category["name"] for category in content["categories"]}
    for entry, segment in zip(annotation["segments_info"], panoptic.segments, strict=True):
        x, y, width, height = entry["bbox"]
        inside = ids == entry["id"]
        assert entry["area"] == inside.sum() == inside[y : y + height, x : x + width].sum()
        assert names[entry["category_id"]] == result.class_names[segment.label]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_the_instances_open_in_pycocotools(result: Segmentation, tmp_path) -> None:
    (path,) = result.save(tmp_path, "coco")
    opened, found = COCO(str(path)), result.instances()
    annotations = opened.loadAnns(opened.getAnnIds())
    kept = [i for i, mask in enumerate(found.masks) if mask.any()]
    assert len(annotations) == len(kept) > 1
    assert opened.loadImgs([1])[0] == {"id": 1, "file_name": "a.jpg", "height": 101, "width": 173}
    for i, annotation in zip(kept, annotations, strict=True):
        np.testing.assert_array_equal(opened.annToMask(annotation).astype(bool), found.masks[i])
        assert opened.cats[annotation["category_id"]]["name"] == result.class_names[found.labels[i]]
        assert annotation["score"] == pytest.approx(float(found.scores[i]), abs=1e-6)
        x, y, right, bottom = found.boxes[i].tolist()
        assert annotation["bbox"] == [x, y, right - x, bottom - y]


def test_an_empty_result_writes_valid_files(result: Segmentation, tmp_path) -> None:
    from dataclasses import replace

    empty = replace(result, mask_logits=torch.zeros(0, 16, 24), probs=torch.zeros(0, 6))
    paths = empty.save(tmp_path, ["overlay", "labels", "panoptic", "coco"])
    assert len(paths) == 6
    assert json.loads((tmp_path / "a-panoptic.json").read_text())["annotations"][0]["segments_info"] == []
    assert COCO(str(tmp_path / "a-instances.json")).getAnnIds() == []
