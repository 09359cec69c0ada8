"""Data sets in COCO's panoptic format, and mistakes in their files."""

import json

import numpy as np
import pytest
from small_sets import CLASSES, change_json, encoded, halves, image, panoptic_json, panoptic_label, write

from maskadapter.data.formats.coco_datasets import CocoPanoptic
from maskadapter.errors import DatasetError, ImageError
from maskadapter.io.coco_format import panoptic_image


@pytest.fixture
def panoptic(tmp_path):
    """Two images as COCO lays them out: person, a crowd of rug, nothing between them."""
    for number in (139, 285):
        write(tmp_path / f"images/{number:012}.jpg", image(number))
        write(tmp_path / f"labels/{number:012}.png", encoded(np.asarray(panoptic_image(panoptic_label()))))
    write(tmp_path / "panoptic.json", json.dumps(panoptic_json((139, 285))).encode())
    return tmp_path


def read_panoptic(folder, classes=None):
    classes = classes or {200: 0, 1: 2}
    return CocoPanoptic("mine", CLASSES, folder / "panoptic.json", folder / "images", folder / "labels", classes)


def test_panoptic(panoptic):
    dataset = read_panoptic(panoptic)
    sample = dataset[1]
    assert (len(dataset), sample.name, dataset.task) == (2, "000000000285.jpg", "panoptic")
    assert sample.target.classes.tolist() == [2, 0]
    assert sample.target.is_crowd.tolist() == [False, True]
    ids = halves(0, 1, dtype=np.int32)
    ids[:, 4] = -1
    assert np.array_equal(sample.target.segment_ids, ids)
    assert dataset.classes_of(0) == [0, 2]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"].pop(), r"panoptic\.json has 0 labels for 000000000139\.jpg"),
        (lambda c: c["annotations"].append(c["annotations"][0]), r"has 2 labels for 000000000285\.jpg"),
        (
            lambda c: c["annotations"][0]["segments_info"][1].update(category_id=7),
            r"category 7, which is not one of the 2",
        ),
        (
            lambda c: c["annotations"][0].pop("segments_info"),
            r"panoptic\.json is not a COCO file: .* no 'segments_info'",
        ),
        (lambda c: c["annotations"][0].update(image_id=5), r"an annotation of image 5, which is not in its images"),
        (lambda c: c["images"].append(c["images"][0]), "lists two images with the same id"),
        (
            lambda c: c["annotations"][0]["segments_info"][1].update(id="260.0"),
            r"two segments with the same id for 000000000285\.jpg",
        ),
        (lambda c: c["annotations"][0].update(file_name=None), "file_name is null"),
        (lambda c: c["annotations"][0]["segments_info"].append(None), r"panoptic\.json is not a COCO file"),
        (lambda c: c.pop("images"), 'has no list "images"'),
        (lambda c: c.update(annotations=[3]), r"panoptic\.json is not a COCO file"),
    ],
)
def test_a_panoptic_json_that_does_not_fit(panoptic, edit, message):
    change_json(panoptic / "panoptic.json", edit)
    with pytest.raises(DatasetError, match=message):
        read_panoptic(panoptic)


def test_panoptic_pngs_that_do_not_fit(panoptic):
    change_json(panoptic / "panoptic.json", lambda c: c["annotations"][0]["segments_info"].pop())
    dataset = read_panoptic(panoptic)
    assert len(dataset[0].target.classes) == 2
    with pytest.raises(DatasetError, match=r"285\.png has a segment 70000 that its JSON does not list"):
        dataset[1]
    write(panoptic / "labels/000000000285.png", encoded(halves(0, 1)))
    with pytest.raises(DatasetError, match=r"285\.png is not a panoptic PNG: RGB"):
        dataset[1]
    write(panoptic / "labels/000000000285.png", encoded(np.zeros((2, 2, 3), np.uint8)))
    with pytest.raises(DatasetError, match=r"285\.png has 2 x 2 pixels, its image"):
        dataset[1]
    (panoptic / "labels/000000000285.png").unlink()
    with pytest.raises(DatasetError, match=r"285\.jpg has no label: .*285\.png is missing"):
        dataset[1]
    (panoptic / "images/000000000139.jpg").unlink()
    with pytest.raises(ImageError, match=r"no such file: .*139\.jpg"):
        dataset[0]


def test_a_missing_and_a_damaged_json(tmp_path):
    with pytest.raises(DatasetError, match=r"no such file: .*panoptic\.json"):
        read_panoptic(tmp_path)
    write(tmp_path / "panoptic.json", b"{")
    with pytest.raises(DatasetError, match=r"cannot read .*panoptic\.json as JSON"):
        read_panoptic(tmp_path)


def test_ids_as_text(panoptic):
    def rewrite(content):
        for one in content["annotations"]:
            one.update(image_id=str(one["image_id"]))
            for segment in one["segments_info"]:
                segment.update(id=str(segment["id"]), category_id=f"{segment['category_id']}.0")

    before = read_panoptic(panoptic)[1].target
    change_json(panoptic / "panoptic.json", rewrite)
    after = read_panoptic(panoptic)[1].target
    assert after.classes.tolist() == before.classes.tolist()
    assert np.array_equal(after.segment_ids, before.segment_ids)


def test_a_listed_segment_without_pixels(panoptic):
    def add(content):
        content["annotations"][0]["segments_info"].append({"id": 9, "category_id": 1, "iscrowd": 0})

    change_json(panoptic / "panoptic.json", add)
    with pytest.raises(DatasetError, match=r"285\.png has no pixel of the segment 9, which .*panoptic\.json lists"):
        read_panoptic(panoptic)[1]
