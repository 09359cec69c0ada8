"""Data sets of label maps: values become classes, and mistakes in the files are named."""

import numpy as np
import pytest
from small_sets import CLASSES, SIZE, encoded, halves, image, write

from maskadapter.data.formats.image_label_pairs import find_pairs
from maskadapter.data.formats.semantic_folder import SemanticFolder, values_from
from maskadapter.errors import DatasetError


@pytest.fixture
def folder(tmp_path):
    """Two images; the label of the second is of 16 bits and has every kind of value."""
    write(tmp_path / "images/a.jpg", image(1))
    write(tmp_path / "images/garden/b.png", encoded(np.zeros((*SIZE, 3), np.uint8)))
    write(tmp_path / "labels/a.png", encoded(halves(0, 255)))
    wide = halves(1, 65535, dtype=np.uint16)
    wide[0] = 2
    write(tmp_path / "labels/garden/b.tif", encoded(wide, "TIFF"))
    return tmp_path


def semantic(folder):
    pairs = find_pairs(folder / "images", folder / "labels")
    return SemanticFolder("mine", CLASSES, pairs, values_from(0, 3, ignored=[255, 65535]), folder / "images")


def test_values_become_classes(folder):
    dataset = semantic(folder)
    assert [sample.name for sample in dataset] == ["a.jpg", "garden/b.png"]
    assert np.array_equal(dataset[0].target.labels(), halves(0, -1, dtype=np.int32))
    assert dataset[1].target.classes.tolist() == [1, 2]
    assert (dataset[1].target.labels()[:, 0] == [2, 1, 1, 1, 1, 1]).all()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            encoded(halves(0, 7)),
            r"garden/b\.png has the value 7 at 24 pixels, which stands for none of the 3 classes of mine",
        ),
        (encoded(halves(0, 300, dtype=np.uint16)), r"b\.png has the value 300 at 24"),
        (encoded(halves(0, -1, dtype=np.int32), "TIFF"), r"b\.png has the value -1 at 24"),
        (encoded(np.zeros((*SIZE, 3), np.uint8)), r"b\.png is an RGB image: one channel"),
        (encoded(halves(0, 1, (6, 9))), r"b\.png has 9 x 6 pixels, its image .*garden/b\.png has 8 x 6"),
        (encoded(halves(0, 1))[:-30], r"damaged label map .*b\.png"),
        (encoded(halves(0, 1), "JPEG"), r"b\.png is of the format JPEG, which changes the values of labels"),
        (b"no image", r"not an image that can be read: .*b\.png"),
    ],
)
def test_labels_that_do_not_fit(folder, label, message):
    (folder / "labels/garden/b.tif").unlink()
    write(folder / "labels/garden/b.png", label)
    dataset = semantic(folder)
    assert dataset[0].target.size == SIZE
    with pytest.raises(DatasetError, match=message):
        dataset[1]


def test_an_image_without_a_label(folder):
    dataset = semantic(folder)
    (folder / "labels/garden/b.tif").unlink()
    with pytest.raises(DatasetError, match=r"garden/b\.png has no label: .*labels/garden/b\.tif is missing"):
        dataset[1]
    with pytest.raises(DatasetError, match=r"images/garden/b\.png has no label in .*labels: b\.png is needed"):
        semantic(folder)
    (folder / "labels/a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.jpg has no label in .*, and 1 other images have none"):
        semantic(folder)


def test_black_and_white_labels(folder):
    write(folder / "labels/a.png", encoded(halves(0, 1).astype(bool)))
    assert semantic(folder)[0].target.classes.tolist() == [0, 1]


def test_two_label_maps_of_one_image_are_refused(folder):
    write(folder / "labels/garden/b.png", encoded(halves(0, 1)))
    with pytest.raises(DatasetError, match=r"garden/b\.png and .*garden/b\.tif label the same image"):
        find_pairs(folder / "images", folder / "labels")
