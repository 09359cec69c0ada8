"""Masks of one image in a COCO file: ids in any form, and one line that names the annotation for what is not plain."""

import json

import numpy as np
import pytest

from maskadapter.errors import MaskError
from maskadapter.io.coco_format import encode_mask
from maskadapter.io.masks import read_masks

SIZE = (60, 90)
SQUARE = [[10, 10, 40, 10, 40, 30, 10, 30]]


def coco(image_id=1, images=(), categories=None, image=None, **annotation):
    entry = {"id": 1, "file_name": "a.jpg", "height": 60, "width": 90} | (image or {})
    content = {"images": [entry, *images], "annotations": [{"id": 5, "image_id": image_id, "segmentation": SQUARE}]}
    content["annotations"][0].update(annotation)
    return content if categories is None else content | {"categories": categories}


OTHER = {"id": 2, "file_name": "b.jpg"}


@pytest.mark.parametrize(
    "content",
    [
        coco(),
        coco("1"),
        coco(1.0),
        coco("1.0", [OTHER]),
        coco(1, image={"id": "1"}),
        coco("x7", [OTHER], image={"id": "x7"}),
        coco(1, [OTHER], image={"file_name": "photos\\2024\\a.jpg"}),
        coco(1, [OTHER], image={"file_name": "photos/a.jpg"}),
        coco(1, image={"file_name": "renamed.jpg", "height": None}),
        coco(image={"height": 60.0, "width": "90"}),
        coco(categories=[{"id": 1, "name": "cat"}, {"id": "2", "name": "dog"}]),
        coco(segmentation=np.array(SQUARE)[0].reshape(1, 8).tolist()),
    ],
)
def test_ids_and_names_in_any_form(tmp_path, content):
    (tmp_path / "coco.json").write_text(json.dumps(content))
    for source in (content, tmp_path / "coco.json"):
        assert read_masks(source, SIZE, "a.jpg").sum((1, 2)).tolist() == [600]
    assert read_masks(content, SIZE, "photos/a.jpg").sum() == 600


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coco(7), "annotation 5 is of image 7, which 'images' does not list"),
        (coco("a.jpg"), "annotation 5 is of image a.jpg, which"),
        (coco(None), "annotation 5: 'image_id': an id is a number or a text, not None"),
        (coco(True), "annotation 5: 'image_id'"),
        (coco(float("nan")), "annotation 5: 'image_id'"),
        (coco([1]), "annotation 5: 'image_id'"),
        (coco(images=[{"id": "1", "file_name": "b.jpg"}]), "two image entries have the id 1"),
        (coco(images=[None]), "image number 2 is null, not an object with 'id'"),
        (coco(images=["b.jpg"]), "image number 2 is str"),
        (coco(images=[{"file_name": "b.jpg"}]), "image number 2 has no 'id'"),
        (coco(images=[{"id": 3, "file_name": "x\\a.jpg"}]), "2 images, and 2 of them named a.jpg"),
        (coco(categories=[{"id": 1}, {"id": 1.0}]), "two category entries have the id 1"),
        (coco(categories=[None]), "category number 1 is null"),
        (coco(categories={"1": "cat"}), "category entries are not a list"),
        (coco(image={"height": 120, "width": 180}), "lists an image of 180 x 120 pixels; it has 90 x 60"),
        (coco(image={"height": 90, "width": 60}), "lists an image of 60 x 90"),
        (coco(segmentation=None), "annotation 5: no 'segmentation'"),
        (coco(segmentation=[]), "annotation 5: the segmentation is empty: a box alone"),
        (coco(segmentation=[[10, 10], [40, 10], [40, 30]]), "annotation 5: no polygon has three points"),
        (coco(segmentation=[SQUARE]), "annotation 5: .*one flat list"),
        (coco(segmentation=[[0, 0, 1e12, 0, 1e12, 1e12]]), "annotation 5: a polygon reaches x = 1e"),
        (coco(segmentation=[[0.1, 0.1, 0.5, 0.1, 0.5, 0.5]]), "annotation 5: .*multiply x by 90 and y by 60"),
        (coco(segmentation=[[20.1, 20.1, 20.2, 20.1, 20.2, 20.2]]), "annotation 5: the polygons cover no pixel"),
        (coco(segmentation=encode_mask(np.zeros((30, 45), bool))), "annotation 5: .*45 x 30 pixels"),
        (coco(segmentation={"size": [True, True], "counts": [1]}), "annotation 5: an id is a number|annotation 5: "),
        (coco(segmentation="polygons"), "annotation 5: not a COCO segmentation"),
        ({"images": [{"id": 1}], "annotations": [None]}, "annotation number 1 is null"),
        ({"images": [{"id": 1}], "annotations": [{"segmentation": SQUARE}]}, "annotation number 1 has no 'image_id'"),
        ({"images": [], "annotations": []}, "0 images, and 0 of them named a.jpg"),
        ({"images": None, "annotations": []}, "not a COCO file"),
        ([{"image_id": 1, "segmentation": SQUARE}, {"image_id": 2, "segmentation": SQUARE}], "annotations of 2 images"),
        ([{"segmentation": SQUARE}, None], "annotation number 2 is null"),
        ([{"segmentation": SQUARE}, {"bbox": [1, 2, 3, 4]}], "annotation number 2: no 'segmentation'"),
    ],
)
def test_what_is_not_plain_is_refused(tmp_path, content, message):
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    for source, name in ((content, "the given "), (path, str(path))):
        with pytest.raises(MaskError, match=message) as refused:
            read_masks(source, SIZE, "a.jpg")
        assert str(refused.value).startswith(name)
        assert "\n" not in str(refused.value)


def test_a_list_of_one_image_in_several_forms_of_its_id():
    given = [{"image_id": number, "segmentation": SQUARE} for number in (3, "3", 3.0)]
    assert read_masks(given, SIZE).sum() == 1800


def test_an_empty_run_length_mask_stays_an_empty_mask():
    assert read_masks([{"segmentation": encode_mask(np.zeros(SIZE, bool))}], SIZE).shape == (1, *SIZE)
