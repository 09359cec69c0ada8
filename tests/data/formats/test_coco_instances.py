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
    shapes = [[[1, 2, 5, 2, 5, 4, 1, 4]], encode_mask(mask), runs]
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
    assert target.classes.tolist() == [1, 0, 1]
    assert target.is_crowd.tolist() == [False, False, True]
    for number in range(3):
        assert np.array_equal(target.masks()[number], mask)
    assert dataset[1].target.masks().shape == (0, *SIZE)
    assert [dataset.classes_of(index) for index in range(2)] == [[0, 1], []]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda c: c["annotations"][0].update(category_id=12),
            r"instances\.json has .* category 12, .*its id is 0",
        ),
        (lambda c: c["annotations"][0].update(category_id=None), "category_id is null; a number or a text is needed"),
        (lambda c: c["annotations"][0].update(category_id=[10]), r"category_id is \[10\]; a number or a text"),
        (
            lambda c: c["annotations"][1].pop("segmentation"),
            r"annotation 1 of a\.jpg: it has no segmentation",
        ),
        (lambda c: c["annotations"][0].update(segmentation=None), r"annotation 0 of a\.jpg: it has no segmentation"),
        (lambda c: c["annotations"][2].update(segmentation=[]), r"annotation 2 of a\.jpg: it has no segmentation"),
        (
            lambda c: c["annotations"][2].update(segmentation={}, id="x"),
            r"annotation x of a\.jpg: it has no segm",
        ),
        (lambda c: c["annotations"][1].update(image_id=7), r"image 7, which is not in its images \(annotation 1\)"),
        (lambda c: c["annotations"][1].update(image_id="7"), r"image 7, which is not in its images \(annotation 1\)"),
        (lambda c: c["annotations"][1].update(image_id=None), "image_id is null; a number or a text is needed"),
        (lambda c: c["annotations"].append(None), 'entry 4 of "annotations" is null, not an object'),
        (lambda c: c["images"].insert(0, None), 'entry 1 of "images" is null, not an object'),
        (lambda c: c["images"][1].update(id="5"), "lists two images with the same id 5"),
        (lambda c: c["images"][1].update(id=5.0), "lists two images with the same id 5"),
        (
            lambda c: c["images"][1].update(file_name=c["images"][0]["file_name"]),
            r"lists the image a\.jpg twice",
        ),
        (lambda c: c["images"][0].update(file_name=None), "file_name is null; a text is needed"),
        (lambda c: c["images"][0].update(width=None), "image 5 has height 6 and width null"),
        (lambda c: c["images"][0].update(height=0), "image 5 has height 0 and width 8"),
        (lambda c: c["annotations"][0].update(iscrowd=None), "iscrowd is null; 0 or 1 is needed"),
        (lambda c: c["annotations"][0].update(iscrowd="no"), 'iscrowd is "no"; 0 or 1 is needed'),
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


@pytest.mark.parametrize("form", [str, float, lambda number: f"{number}.0"])
def test_ids_are_compared_in_one_form(instances, form):
    folder, mask = instances

    def rewrite(content):
        for one in content["annotations"]:
            one.update(
                category_id=form(one["category_id"]), image_id=form(one["image_id"]), iscrowd=str(one["iscrowd"])
            )
        content["images"][1]["id"] = "a text"

    change_json(folder / "instances.json", rewrite)
    target = read_instances(folder)[0].target
    assert target.classes.tolist() == [1, 0, 1]
    assert target.is_crowd.tolist() == [False, False, True]
    assert np.array_equal(target.masks()[0], mask)


def test_paths_as_windows_writes_them(instances):
    folder, _ = instances
    write(folder / "sub/deep/a.jpg", image(1))
    change_json(folder / "instances.json", lambda c: c["images"][0].update(file_name="sub\\deep\\a.jpg"))
    assert read_instances(folder)[0].name == "sub/deep/a.jpg"


NO_PIXEL = [
    {"size": list(SIZE), "counts": [SIZE[0] * SIZE[1]]},
    [[2, 2, 2, 2, 2, 2]],
    [[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]],
]


@pytest.mark.parametrize("segmentation", NO_PIXEL)
def test_masks_without_a_pixel_are_kept_only_as_published(instances, segmentation):
    folder, _ = instances
    change_json(folder / "instances.json", lambda c: c["annotations"][1].update(segmentation=segmentation))
    with pytest.raises(DatasetError, match=r"instances\.json, annotation 1 of a\.jpg: the mask has no pixel"):
        read_instances(folder)[0]
    known = CocoInstances("known", CLASSES, folder / "instances.json", folder, {10: 1, 11: 0}, published=True)
    assert known[0].target.masks().any(axis=(1, 2)).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 1], [5, 1], [5, 4]],  # points as pairs
        [[[1, 1, 5, 1, 5, 4]]],  # too deep
        [1, 1, 5, 1, 5, 4],  # too flat
        [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]],  # relative to the image
        {"size": [SIZE[1], SIZE[0]], "counts": [10, 38]},
    ],
)
def test_masks_that_the_file_does_not_plainly_state(instances, segmentation):
    folder, _ = instances
    change_json(folder / "instances.json", lambda c: c["annotations"][0].update(segmentation=segmentation))
    with pytest.raises(DatasetError, match=r"instances\.json, annotation 0 of a\.jpg: "):
        read_instances(folder)[0]
