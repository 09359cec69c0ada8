"""Masks from every kind of source, and one line for what cannot be masks."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from maskadapter.errors import MaskError
from maskadapter.io import masks
from maskadapter.io.coco_format import encode_mask, panoptic_image
from maskadapter.io.masks import read_masks

MASKS = np.array([[[1, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 1]]], dtype=bool)


def save(path, image):
    image.save(path)
    return path


def test_masks_from_array_file_and_tensor(tmp_path):
    torch = pytest.importorskip("torch")
    np.save(tmp_path / "masks.npy", MASKS)
    for source in (MASKS, torch.from_numpy(MASKS), tmp_path / "masks.npy", str(tmp_path / "masks.npy")):
        np.testing.assert_array_equal(read_masks(source, (2, 3)), MASKS)


@pytest.mark.parametrize("values", [np.uint8, np.uint16])
def test_masks_from_a_label_map_come_in_ascending_order(tmp_path, values):
    labels = np.array([[200, 200, 0], [0, 7, 7]], values)
    path = save(tmp_path / "labels.png", Image.fromarray(labels))
    np.testing.assert_array_equal(read_masks(path, (2, 3)), MASKS[::-1])


def test_masks_from_a_palette_image_use_the_indices(tmp_path):
    image = Image.fromarray(np.array([[1, 1, 0], [0, 2, 2]], np.uint8))
    image.putpalette([0, 0, 0, 90, 90, 90, 90, 90, 90])
    assert image.mode == "P"
    np.testing.assert_array_equal(read_masks(save(tmp_path / "labels.png", image), (2, 3)), MASKS)


def test_no_masks(tmp_path):
    assert read_masks(np.zeros((0, 2, 3), bool), (2, 3)).shape == (0, 2, 3)
    path = save(tmp_path / "empty.png", Image.new("L", (3, 2)))
    assert read_masks(path, (2, 3)).shape == (0, 2, 3)


def test_unusable_masks(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("words")
    for source, message in [
        (np.zeros((1, 4, 5), bool), "masks of 5 x 4 pixels for an image of 3 x 2"),
        (tmp_path / "objects.npy", "not a NumPy array file"),
        (tmp_path / "text.npy", "not a NumPy array file"),
        (tmp_path / "gone.npy", "no such file"),
        (tmp_path / "gone.png", "no such file"),
    ]:
        with pytest.raises(MaskError, match=message) as refused:
            read_masks(source, (2, 3))
        assert "\n" not in str(refused.value)


def test_a_pickle_in_an_array_file_does_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(MaskError):
        read_masks(tmp_path / "trap.npy", (2, 3))
    assert not (tmp_path / "ran").exists()


def test_a_photograph_given_as_label_map_does_not_become_gigabytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 65536, (200, 200), dtype=np.uint16)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with pytest.raises(MaskError, match="is it a label map"):
        read_masks(tmp_path / "noise.png", (200, 200))


def test_an_npy_header_is_not_believed(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1, 1), bool))
    with open(tmp_path / "m.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (10**6, 10**4, 10**4)})
    with pytest.raises(MaskError, match="not a NumPy array file"):
        read_masks(tmp_path / "m.npy", (10**4, 10**4))


def test_ragged_masks_give_one_line():
    with pytest.raises(MaskError, match="different shapes"):
        read_masks([[[True]], [[True, False]]], (1, 1))


def annotation(mask, form):
    """One mask as COCO has it, or as SAM gives it."""
    if form == "array":
        return {"segmentation": mask, "area": int(mask.sum()), "predicted_iou": 0.9}
    if form == "compressed":
        return {"image_id": 7, "segmentation": encode_mask(mask)}
    runs = [len(list(group)) for _, group in itertools.groupby(mask.flatten(order="F"))]
    return {"image_id": 7, "segmentation": {"size": list(mask.shape), "counts": [0] * int(mask[0, 0]) + runs}}


@pytest.mark.parametrize("form", ["array", "compressed", "runs"])
def test_masks_from_lists_of_annotations(tmp_path, form):
    given = [annotation(mask, form) for mask in MASKS]
    np.testing.assert_array_equal(read_masks(given, (2, 3)), MASKS)
    assert read_masks([], (2, 3)).shape == (0, 2, 3)
    if form != "array":
        coco = {
            "images": [{"id": 7, "file_name": "photo.jpg"}, {"id": 8, "file_name": "other.jpg"}],
            "annotations": given,
        }
        (tmp_path / "coco.json").write_text(json.dumps(coco))
        np.testing.assert_array_equal(read_masks(tmp_path / "coco.json", (2, 3), "photo.jpg"), MASKS)
        assert read_masks(tmp_path / "coco.json", (2, 3), "other.jpg").shape == (0, 2, 3)
        with pytest.raises(MaskError, match=r"2 images, and 0 of them named third\.jpg"):
            read_masks(tmp_path / "coco.json", (2, 3), "third.jpg")


def test_masks_from_polygons():
    square = {"segmentation": [[10, 20, 40, 20, 40, 50, 10, 50]]}
    masks = read_masks([square], (60, 80))
    expected = np.zeros((1, 60, 80), bool)
    expected[0, 20:50, 10:40] = True
    np.testing.assert_array_equal(masks, expected)


def test_masks_from_a_panoptic_png(tmp_path):
    ids = np.array([[70000, 70000, 0], [0, 300, 300]], np.int32)
    path = save(tmp_path / "panoptic.png", panoptic_image(ids))
    np.testing.assert_array_equal(read_masks(path, (2, 3)), MASKS[::-1])


def test_masks_from_detections():
    class Detections:  # supervision's, as far as it is looked at
        def __init__(self, mask):
            self.mask, self.xyxy = mask, np.zeros((2, 4))

        def __len__(self):
            return len(self.xyxy)

    np.testing.assert_array_equal(read_masks(Detections(MASKS), (2, 3)), MASKS)
    with pytest.raises(MaskError, match="boxes and no masks"):
        read_masks(Detections(None), (2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "as JSON"),
        ("{}", "not a COCO file"),
        ('[{"bbox": [1, 2, 3, 4]}]', "no 'segmentation'"),
        ('[{"segmentation": 5}]', "not a COCO segmentation"),
        ('[{"segmentation": {"size": [5, 5], "counts": "0"}}]', "5 x 5 pixels came with an image of 3 x 2"),
        ('[{"segmentation": {"size": [2, 3], "counts": [1, 2]}}]', "3 pixels; 6 are needed"),
        ('[{"segmentation": {"size": [2, 3], "counts": [-1, 7]}}]', "a run below 0"),
        ('[{"segmentation": {"size": [2, 3], "counts": "12"}}]', "3 pixels; 6 are needed"),
        ('[{"segmentation": {"size": [2, 3], "counts": ""}}]', "0 pixels; 6 are needed"),
        ('[{"segmentation": {"size": [2, 3], "counts": "caf\u00e9"}}]', "not a COCO segmentation"),
        ('[{"segmentation": {"size": [2, 3], "counts": "PPPPPPPPPPPPPPPPPPPPPPP"}}]', "not a COCO segmentation"),
        ("[" * 100_000, "as JSON"),
    ],
)
def test_unusable_json(tmp_path, content, message):
    (tmp_path / "masks.json").write_text(content)
    with pytest.raises(MaskError, match=message) as refused:
        read_masks(tmp_path / "masks.json", (2, 3))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["annotations", "npy", "label map", "empty list"])
def test_masks_of_large_images_come_in_parts(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(masks, "_PIXELS", 12)  # two masks of 2 x 3
    every = np.zeros((5, 2, 3), bool)
    every[np.arange(5), np.arange(5) % 2, np.arange(5) // 2] = True
    np.save(tmp_path / "masks.npy", every)
    source = {
        "annotations": [{"segmentation": encode_mask(mask)} for mask in every],
        "npy": tmp_path / "masks.npy",
        "label map": save(tmp_path / "labels.png", Image.fromarray(np.array([[1, 3, 5], [2, 4, 0]], np.uint8))),
        "empty list": [],
    }[kind]
    parts = list(masks.mask_parts(source, (2, 3)))
    assert [len(part) for part in parts] == ([0] if kind == "empty list" else [2, 2, 1])
    np.testing.assert_array_equal(np.concatenate(parts), every[: sum(map(len, parts))])
    np.testing.assert_array_equal(read_masks(source, (2, 3)), np.concatenate(parts))


@settings(derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 5)),
    st.sampled_from(["label map", "panoptic PNG", "annotations"]),
)
def test_the_masks_of_any_map_come_back(tmp_path, labels, form):
    expected = np.stack([labels == value for value in np.unique(labels[labels > 0])] or [labels > 9])
    path = tmp_path / "masks.png"
    if form == "label map":
        Image.fromarray(labels).save(path)
    elif form == "panoptic PNG":
        panoptic_image(labels.astype(np.int32) * 1000).save(path)
    else:
        path = [{"segmentation": encode_mask(mask)} for mask in expected]
    found = read_masks(path, labels.shape)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected if form == "annotations" or labels.any() else expected[:0])
