"""The conversion of ADE20K's full release, compared with values computed by hand."""

import shutil

import numpy as np
import pytest
import small_sets
from PIL import Image
from small_sets import put

from maskadapter.data.prepare.ade20k import classes_847, shrink_image, shrink_labels, small_size
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError


def test_ade20k_classes_of_the_full_release():
    colors = np.array([[[110, 162, 9], [119, 162, 0], [120, 76, 0], [0, 4, 255], [255, 255, 255]]], np.uint8)
    # 11 * 256 + 162 = 2978 is wall; 12 * 256 + 76 = 3148 is adding machine, the last.
    assert classes_847(colors).tolist() == [[0, 0, 846, 65535, 65535]]


def test_ade20k_sizes():
    assert small_size(512, 3000) == (512, 3000)
    assert small_size(3000, 400) == (3000, 400)
    assert small_size(1024, 1537) == (512, 768)  # 768.5 to the even number, as Python rounds
    assert small_size(1600, 1000) == (819, 512)
    assert small_size(600, 600) == (512, 512)


def test_ade20k_images_and_labels_shrink(root, monkeypatch):
    archives = small_sets.ade20k_847(size=(1024, 1300))
    root.mkdir()
    (root / "name_and_hash.zip").write_bytes(archives["name_and_hash.zip"])
    prepare("ade20k-847", root, ("val",), offline=True)
    folder = root / "ADE20K_2021_17_01"
    assert not list(folder.rglob("*parts*")) + list(folder.rglob("instance*")) + list(folder.rglob("*.pkl"))
    label = np.asarray(Image.open(folder / "annotations_detectron2/validation/ADE_val_00000001.tif"))
    assert (label.dtype, label.shape) == (np.uint16, (512, 650))
    assert np.array_equal(np.unique(label, axis=0)[0], [0] * 325 + [65535] * 325)
    with Image.open(folder / "images_detectron2/validation/ADE_val_00000001.jpg") as small:
        assert small.size == (650, 512)


def test_shrinking_by_hand():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    # Halved, a new pixel lies in the middle of four old ones; 2.5, 4.5, 10.5 and 12.5 to the even number.
    assert shrink_image(image, (2, 2)).tolist() == [[2, 4], [10, 12]]
    assert shrink_image(np.dstack([image] * 3), (2, 2)).shape == (2, 2, 3)
    assert shrink_labels(image, (2, 3)).tolist() == [[0, 1, 2], [8, 9, 10]]
    assert shrink_image(image, (4, 4)) is image
    assert shrink_image(np.array([[2, 3], [3, 3]], np.uint8), (1, 1)).tolist() == [[3]]  # 2.75


def test_bilinear_is_not_antialiased():
    stripes = np.zeros((9, 9), np.uint8)
    stripes[:, 4] = 255
    # The middle of three columns of nine is column 4 itself; antialiasing would spread it.
    assert shrink_image(stripes, (3, 3))[1].tolist() == [0, 255, 0]


def test_a_segmentation_of_another_size_than_its_image(root):
    put(root, "ade20k-847")
    prepare("ade20k-847", root, ("val",), offline=True)
    folder = root / "ADE20K_2021_17_01"
    shutil.rmtree(folder / "annotations_detectron2")
    seg = next(folder.rglob("ADE_val_00000001_seg.png"))
    Image.new("RGB", (5, 5)).save(seg)
    (root / "name_and_hash.zip").unlink()
    with pytest.raises(DatasetError, match=r"ADE_val_00000001_seg.png has 5 x 5 pixels, its image .* has 8 x 6"):
        prepare("ade20k-847", root, ("val",), offline=True)
