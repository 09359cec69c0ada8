"""ADE20K-150 as panoptic and instance ground truth."""

import numpy as np
import pytest
from small_sets import SIZE, encoded, halves, image, write

from maskadapter.data.opening import open_dataset
from maskadapter.errors import DatasetError


@pytest.fixture
def ade20k(tmp_path):
    """Wall on the left, two beds on the right, the first over a part of the wall; a window without an instance."""
    labels = halves(1, 8)
    labels[5] = 9
    things = np.zeros((*SIZE, 3), np.uint8)
    things[:5, 3:6] = (1, 3, 0)
    things[:5, 6:] = (1, 4, 200)
    write(tmp_path / "images/validation/x.jpg", image(1))
    write(tmp_path / "annotations/validation/x.png", encoded(labels))
    write(tmp_path / "annotations_instance/validation/x.png", encoded(things))
    return tmp_path


def test_ade20k_panoptic(ade20k):
    dataset = open_dataset("ade20k-150", ade20k, task="panoptic")
    assert (dataset.task, dataset.name, sum(dataset.vocabulary.is_thing)) == ("panoptic", "ade20k-150", 100)
    target = dataset[0].target
    assert target.classes.tolist() == [0, 7, 7]  # wall, bed, bed
    assert target.segment_ids[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert (target.segment_ids[5] == -1).all()  # windows are things, and this one has no instance


def test_ade20k_instances(ade20k):
    dataset = open_dataset("ade20k-150", ade20k, task="instance")
    target = dataset[0].target
    assert (dataset.task, target.classes.tolist()) == ("instance", [7, 7])
    assert target.segment_ids[0].tolist() == [-1, -1, -1, 0, 0, 0, 1, 1]


def test_stuff_under_instances_is_not_a_segment(ade20k):
    things = np.full((*SIZE, 3), (100, 1, 0), np.uint8)
    write(ade20k / "annotations_instance/validation/x.png", encoded(things))
    target = open_dataset("ade20k-150", ade20k, task="panoptic")[0].target
    assert target.classes.tolist() == [149]  # the hundredth thing is flag
    assert (target.segment_ids == 0).all()


@pytest.mark.parametrize(
    ("folder", "label", "message"),
    [
        ("annotations_instance", halves(1, 2), r"x\.png is not an instance label of ADE20K: RGB"),
        ("annotations_instance", np.full((*SIZE, 3), (101, 1, 0)), r"x\.png has the thing 101; .* 1 to 100"),
        ("annotations_instance", np.full((*SIZE, 3), (0, 1, 0)), "has the thing 0"),
        (
            "annotations_instance",
            np.dstack([halves(1, 2), halves(1, 1), halves(0, 0)]),
            "an instance of two different classes",
        ),
        ("annotations_instance", np.zeros((5, 5, 3)), "has 5 x 5 pixels, its image"),
        ("annotations", halves(1, 151), r"annotations/validation/x\.png has the value 151"),
        ("annotations", halves(1, 2, dtype=np.uint16), "is not an 8-bit label map"),
    ],
)
def test_ade20k_labels_that_do_not_fit(ade20k, folder, label, message):
    label = label if label.dtype == np.uint16 else label.astype(np.uint8)
    write(ade20k / folder / "validation/x.png", encoded(label))
    dataset = open_dataset("ade20k-150", ade20k, task="panoptic")
    with pytest.raises(DatasetError, match=message):
        dataset[0]
