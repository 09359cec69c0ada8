"""Data sets in COCO's instance format, and mistakes in their files."""

import json

import numpy as np
import pytest
from small_sets import CLASSES, SIZE, change_json, image, write

from maskadapter.data.formats.coco_datasets import CocoInstances
from maskadapter.errors import DatasetError
from maskadapter.io.coco_format import encode_mask


@pytest.fixture
def instances(tmp_path):
    """One image with masks in the three notations, one of them a crowd and all overlapping, and one without."""
    mask = np.zeros(SIZE, dtype=bool)
    mask[2:4, 1:5] = True
    runs = {"size": list(SIZE), "counts": [8, 2, 4, 2, 4, 2, 4, 2, 20]}
    shapes = [[[1, 2, 5, 2, 5, 4, 1, 4]], encode_mask(mask), runs, [[0, 0, 1, 1]]]
    content = {
        "images": [
            {"id": 5, "file_name": "a.jpg", "height": 6, "width": 8},
            {"id": 6, "coco_url": "http://images.cocodataset.org/val2017/b.jpg", "height": 6, "width": 8},
        ],
        "annotations": [
            {"id": n, "image_id": 5, "category_id": 10 + n % 2, "segmentation": shape, "iscrowd": int(n == 2)}
            for n, shape in enumerate(shapes)
        ],
    }
    write(tmp_path / "a.jpg", image(1))
    write(tmp_path / "val2017/b.jpg", image(2))
    write(tmp_path / "instances.json", json.dumps(content).encode())
    return tmp_path, mask


def read_instances(folder):
    return CocoInstances("mine", CLASSES, folder / "instances.json", folder, {10: 1, 11: 0})


def test_instances(instances):
    folder, mask = instances
    dataset = read_instances(folder)
    target = dataset[0].target
    assert (len(dataset), dataset.task, dataset[1].name) == (2, "instance", "val2017/b.jpg")
    assert target.classes.tolist() == [1, 0, 1, 0]
    assert target.is_crowd.tolist() == [False, False, True, False]
    for number in range(3):
        assert np.array_equal(target.masks()[number], mask)
    assert not target.masks()[3].any()  # a line has no inside
    assert dataset[1].target.masks().shape == (0, *SIZE)
    assert [dataset.classes_of(index) for index in range(2)] == [[0, 1], []]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"][0].update(category_id=12), r"instances\.json has .* category 12"),
        (lambda c: c["annotations"][0].pop("segmentation"), "an entry has no 'segmentation'"),
        (lambda c: c["images"][0].pop("width"), "an entry has no 'width'"),
        (lambda c: c["images"][1].pop("coco_url"), "an entry has no 'coco_url'"),
        (lambda c: c["images"][0].update(height="tall"), r"instances\.json is not a COCO file"),
    ],
)
def test_an_instance_json_that_does_not_fit(instances, edit, message):
    change_json(instances[0] / "instances.json", edit)
    with pytest.raises(DatasetError, match=message):
        read_instances(instances[0])


def test_masks_that_do_not_fit(instances):
    folder = instances[0]
    change_json(folder / "instances.json", lambda c: c["annotations"][2]["segmentation"].update(counts=[1, 2]))
    with pytest.raises(DatasetError, match=r"instances\.json, annotation 2 of a\.jpg: a run-length mask has 3 pixels"):
        read_instances(folder)[0]
    change_json(folder / "instances.json", lambda c: c["images"][0].update(height=7))
    with pytest.raises(DatasetError, match=r"instances\.json has 8 x 7 pixels, its image .*a\.jpg has 8 x 6"):
        read_instances(folder)[0]
