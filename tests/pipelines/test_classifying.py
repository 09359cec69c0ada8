"""Given masks of many images: each image's are found and classified, written, and done once."""

import csv
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from many import contents, make_images
from PIL import Image
from pycocotools.coco import COCO
from small_results import classification

from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.io import read_input
from maskadapter.io.coco_format import encode_mask
from maskadapter.io.masks import read_masks
from maskadapter.pipelines.classifying import classify_images
from maskadapter.pipelines.image_run import find_images
from maskadapter.pipelines.segmenting import segment_each
from maskadapter.vocabulary.vocabulary import Vocabulary

NAMES = ("a/x.jpg", "b/x.png", "c.v2.png")
STEMS = ("a/x", "b/x", "c.v2")
SIZE = (32, 48)


class Quick:
    """Stands in for a segmenter: mask i has class i modulo K, an empty mask none."""

    images_together = 1

    def __init__(self):
        self.given = []

    def encode_text(self, classes, things=None):
        return SimpleNamespace(vocabulary=Vocabulary.of(classes))

    def classify(self, source, masks, encoded):
        image = read_input(source).pixels
        masks = read_masks(masks, image.shape[:2], getattr(source, "name", None))
        self.given.append(read_input(source).name)
        count = len(encoded.vocabulary)
        probs = np.full((len(masks), count), 0.1 / max(1, count - 1), np.float32)
        probs[np.arange(len(masks)), np.arange(len(masks)) % count] = 0.9
        probs[~masks.any(axis=(1, 2))] = np.nan
        return replace(classification(encoded.vocabulary, probs, masks), image=image)


@pytest.fixture
def photos(tmp_path):
    return make_images(tmp_path / "photos", NAMES, (SIZE[1], SIZE[0]))


@pytest.fixture
def masks(tmp_path):
    """A folder with two overlapping masks for each image, the second empty for the last, in three formats."""
    folder = tmp_path / "masks"
    for stem in STEMS:
        (folder / stem).parent.mkdir(parents=True, exist_ok=True)
    both = np.zeros((2, *SIZE), bool)
    both[0, 4:20, 6:30], both[1, 10:30, 20:40] = True, True
    np.save(folder / "a" / "x.npy", both)
    (folder / "b" / "x.json").write_text(json.dumps([{"segmentation": encode_mask(one)} for one in both]))
    both[1] = False
    np.save(folder / "c.v2.npy", both)
    return folder


def run(model, photos, masks, output, formats="csv,coco", **more):
    return classify_images(model, photos, masks, "cat, dog", output, formats, **more)


def test_a_folder_of_images_and_one_of_masks(photos, masks, tmp_path):
    report = run(Quick(), photos, masks, tmp_path / "out", "overlay,labels,coco,csv,json")
    assert (report.done, report.failed) == (3, ())
    ends = ("overlay.png", "labels.png", "classes.json", "instances.json", "masks.csv", "masks.json")
    files = {f"{stem}-{end}" for stem in STEMS for end in ends}
    assert set(contents(tmp_path / "out")) == files | {"run.json", "instances.json", "masks.csv"}
    rows = list(csv.DictReader((tmp_path / "out" / "masks.csv").open()))
    assert [(row["image"], row["mask"], row["class"], row["area"]) for row in rows] == [
        ("a/x.jpg", "1", "cat", "384"),
        ("a/x.jpg", "2", "dog", "400"),
        ("b/x.png", "1", "cat", "384"),
        ("b/x.png", "2", "dog", "400"),
        ("c.v2.png", "1", "cat", "384"),
        ("c.v2.png", "2", "", "0"),
    ]
    coco = COCO(tmp_path / "out" / "instances.json")
    assert [image["file_name"] for image in coco.dataset["images"]] == list(NAMES)
    assert coco.getAnnIds() == [1, 2, 3, 4, 5]
    assert [one["image_id"] for one in coco.dataset["annotations"]] == [1, 1, 2, 2, 3]
    assert [int(coco.annToMask(one).sum()) for one in coco.dataset["annotations"]] == [384, 400, 384, 400, 384]
    labels = np.asarray(Image.open(tmp_path / "out" / "a" / "x-labels.png"))
    assert labels[15, 25] == 1  # the smaller of both


def test_one_image_has_its_files_alone(photos, masks, tmp_path):
    results = []
    run(Quick(), photos / "a", masks / "a", tmp_path / "out", on_result=lambda *given: results.append(given))
    assert set(contents(tmp_path / "out")) == {"x-instances.json", "x-masks.csv"}
    ((result, paths),) = results
    assert paths == [tmp_path / "out" / "x-instances.json", tmp_path / "out" / "x-masks.csv"]
    assert result.file_name == "x.jpg"


def test_resumed_are_images_with_other_pixels_or_other_masks(photos, masks, tmp_path):
    model = Quick()
    run(model, photos, masks, tmp_path / "out")
    before = contents(tmp_path / "out")
    report = run(model, photos, masks, tmp_path / "out", resume=True)
    assert (report.done, report.before, len(model.given)) == (3, 3, 3)
    assert contents(tmp_path / "out") == before
    np.save(masks / "a" / "x.npy", np.ones((3, *SIZE), bool))
    report = run(model, photos, masks, tmp_path / "out", resume=True)
    assert (report.before, model.given[3:]) == (2, ["x.jpg"])
    assert len((tmp_path / "out" / "masks.csv").read_text().splitlines()) == 1 + 3 + 2 + 2
    Image.new("RGB", (SIZE[1], SIZE[0])).save(photos / "c.v2.png")
    assert run(model, photos, masks, tmp_path / "out", resume=True).before == 2
    with pytest.raises(MaskAdapterError, match=r"other settings \(formats\)"):
        run(model, photos, masks, tmp_path / "out", "csv", resume=True)


def test_edited_files_stay(photos, masks, tmp_path):
    run(Quick(), photos, masks, tmp_path / "out")
    for name in ("masks.csv", "b/x-masks.csv"):
        (tmp_path / "out" / name).write_text("image,mask\nmine,1\n")
    np.save(masks / "a" / "x.npy", np.ones((1, *SIZE), bool))
    report = run(Quick(), photos, masks, tmp_path / "out", resume=True)
    assert set(report.kept) == {"masks.csv", "b/x-masks.csv"}
    assert (tmp_path / "out" / "masks.csv").read_text() == "image,mask\nmine,1\n"
    assert len(COCO(tmp_path / "out" / "instances.json").getAnnIds()) == 4


@pytest.mark.parametrize("break_it", ["missing", "size", "image", "text"])
def test_an_image_that_fails_is_reported_and_the_others_are_done(photos, masks, tmp_path, break_it):
    match break_it:
        case "missing":
            (masks / "b" / "x.json").unlink()
            reason = r"b/x.png: no masks in .*masks: b/x.png, .npy, .npz, .json is needed"
        case "size":
            np.save(masks / "b" / "x.npy", np.ones((1, 5, 5), bool))
            reason = "5 x 5 pixels for an image of 48 x 32"
        case "image":
            (photos / "b" / "x.png").write_bytes(b"no image")
            reason = "not an image"
        case _:
            (masks / "b" / "x.json").write_text("{")
            reason = "cannot read .* as JSON"
    report = run(Quick(), photos, masks, tmp_path / "out")
    assert (report.done, report.fault) == (2, None)
    ((_, why),) = report.failed
    assert re.search(reason, why)
    rows = csv.DictReader((tmp_path / "out" / "masks.csv").open())
    assert [row["image"] for row in rows] == ["a/x.jpg"] * 2 + ["c.v2.png"] * 2


def test_masks_in_a_folder_of_the_images_are_no_images(photos, masks, tmp_path):
    masks.rename(photos / "masks")
    Image.fromarray(np.eye(32, 48, dtype=np.uint8)).save(photos / "masks" / "c.v2.png")
    assert run(Quick(), photos, photos / "masks", tmp_path / "out").done == 3


@pytest.mark.parametrize("given", ["x.npy", "none", "shared", "gone"])
def test_masks_that_belong_to_no_image_or_to_two_are_refused_first(photos, masks, tmp_path, given):
    one = tmp_path / "x.npy"
    np.save(one, np.ones((1, *SIZE), bool))
    (tmp_path / "shared").mkdir()
    (tmp_path / "none").mkdir()
    one.rename(tmp_path / "shared" / "x.npy")
    np.save(one, np.ones((1, *SIZE), bool))
    message = {
        "x.npy": "has masks of one image, and 3 were given: give a folder with a file for each",
        "none": r"a/x.jpg: no masks in .*none: a/x.png, .npy",
        "shared": r"a/x.jpg and .*b/x.png would share the masks .*x.npy: name masks after",
        "gone": "no such file: .*gone",
    }[given]
    with pytest.raises(MaskError, match=message):
        run(Quick(), photos, str(tmp_path / given), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_coco_file_of_all_images(photos, tmp_path):
    mask = np.zeros(SIZE, bool)
    mask[3:9, 4:20] = True
    images = [{"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for i, name in enumerate("xyz")]
    images[0]["file_name"], images[1]["file_name"] = "x.jpg", "c.v2.png"
    annotations = [{"id": 1, "image_id": i, "segmentation": encode_mask(mask)} for i in (0, 1, 1)]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    report = run(Quick(), photos, path, tmp_path / "out")
    assert (report.done, [name for name, _ in report.failed]) == (2, [str(photos / "b" / "x.png")])
    rows = csv.DictReader((tmp_path / "out" / "masks.csv").open())
    assert [row["image"] for row in rows] == ["a/x.jpg", "c.v2.png", "c.v2.png"]


def test_segment_takes_the_same_folder(photos, masks):
    given = []

    class Segmenter(Quick):
        def encode_image(self, source, masks):
            given.append((source, masks))

        def segment(self, *_, **__):
            return SimpleNamespace()

    list(segment_each(Segmenter(), photos, "cat", masks=masks))
    ends = ("a/x.npy", "b/x.json", "c.v2.npy")
    assert given == [(photos / name, masks / end) for name, end in zip(NAMES, ends, strict=True)]


def test_the_masks_beside_an_image_are_not_the_image(tmp_path):
    Image.new("L", (6, 4), 1).save(tmp_path / "cat.png")
    np.save(tmp_path / "cat.npy", np.zeros((2, 4, 6), bool))
    (image,) = find_images(tmp_path / "cat.png", masks=tmp_path)
    assert image.masks == tmp_path / "cat.npy"
    (tmp_path / "cat.npy").unlink()
    with pytest.raises(MaskError, match=r"cat\.png: no masks in "):
        find_images(tmp_path / "cat.png", masks=tmp_path)
