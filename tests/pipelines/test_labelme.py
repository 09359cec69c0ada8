"""Training sets in labelme's format: one JSON file beside each image, which labelme opens with it."""

import json

import numpy as np
import pytest
from labeling_client import filled, iou
from many import Halves, contents, make_images
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.io import read_image
from maskadapter.pipelines.labeling import label_images

NAMES = ("a/x.png", "b/x.png", "c.jpg")


@pytest.fixture
def photos(tmp_path):
    return make_images(tmp_path / "photos", NAMES, size=(96, 64))


def label(photos, folder, **options):
    label_images(Halves(), photos, "cat, naïve: yes", folder, "labelme", **options)
    return {
        path.relative_to(folder / "images").as_posix(): json.loads(path.read_text())
        for path in folder.rglob("images/**/*.json")
    }


def test_one_file_beside_each_image(photos, tmp_path):
    files = label(photos, tmp_path / "set")
    assert set(files) == {"a/x.json", "b/x.json", "c.json"}
    expected = {"run.json", *(f"images/{name}" for name in (*NAMES, *files))}
    assert set(contents(tmp_path / "set")) == expected
    for name, image in zip(sorted(files), NAMES, strict=True):
        content = files[name]
        assert content["imagePath"] == image.rpartition("/")[2]
        assert (content["imageWidth"], content["imageHeight"], content["imageData"]) == (96, 64, None)
        assert content["flags"] == {}
        assert content["version"].startswith("5.")


def test_the_polygons_are_the_segments(photos, tmp_path):
    for name, content in label(photos, tmp_path / "set").items():
        image = next((tmp_path / "set/images").glob(name.replace(".json", ".[jp][pn]g")))
        for segment in Halves().segment(read_image(image), Halves().encode_text("cat, naïve: yes")):
            shapes = [shape for shape in content["shapes"] if shape["label"] == segment.class_name]
            assert all(shape["shape_type"] == "polygon" and len(shape["points"]) > 2 for shape in shapes)
            assert {shape["group_id"] for shape in shapes} == {segment.id if len(shapes) > 1 else None}
            assert shapes[0]["description"].startswith(f"{segment.class_name} {segment.score:.0%}")
            assert iou(filled([shape["points"] for shape in shapes], (64, 96)), segment.mask) > 0.9


def test_a_hole_stays_a_hole(tmp_path):
    mask = np.zeros((64, 96), np.uint8)
    mask[10:50, 10:80], mask[20:40, 30:60] = 255, 0
    (tmp_path / "photos").mkdir()
    Image.fromarray(mask).convert("RGB").save(tmp_path / "photos/ring.png")
    shapes = label(tmp_path / "photos", tmp_path / "set")["ring.json"]["shapes"]
    cat = filled([shape["points"] for shape in shapes if shape["label"] == "cat"], (64, 96))
    assert not cat[25:35, 35:55].any()
    assert iou(cat, mask > 0) > 0.95


def test_edited_labels_stay(photos, tmp_path):
    label(photos, tmp_path / "set")
    edited = tmp_path / "set/images/c.json"
    edited.write_text(edited.read_text().replace('"cat"', '"dog"'))
    make_images(photos, ["new.png"])
    files = label(photos, tmp_path / "set", resume=True)
    assert {shape["label"] for shape in files["c.json"]["shapes"]} == {"dog", "naïve: yes"}
    assert "new.json" in files


def test_no_part_of_the_set_is_held_out(photos, tmp_path):
    with pytest.raises(MaskAdapterError, match="val is for the format yolo, and labelme was given"):
        label(photos, tmp_path / "set", val=0.2)


def test_an_image_without_segments_has_a_file_without_shapes(photos, tmp_path):
    assert all(content["shapes"] == [] for content in label(photos, tmp_path / "set", score=1).values())
