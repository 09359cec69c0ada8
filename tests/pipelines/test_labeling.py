"""Training sets: what supervision reads back is what was found, image by image."""

import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import skimage
import yaml
from many import Halves, contents, make_images
from PIL import Image
from png_bytes import wide_png
from pycocotools.coco import COCO

import maskadapter
from maskadapter.errors import MaskAdapterError
from maskadapter.io import read_image, read_input
from maskadapter.io.image_files import ImageFile
from maskadapter.models.preprocess import InputSize
from maskadapter.pipelines import labeling
from maskadapter.pipelines.labeling import label_images
from maskadapter.results.postprocessing import PanopticMap, Segment
from maskadapter.results.result_segment import ResultSegment
from maskadapter.types import CompactMask

with warnings.catch_warnings(action="ignore"):
    from supervision import DetectionDataset

NAMES = ("a/x.png", "b/x.png", "c.jpg", "d.png")
IMAGES = ("a__x.png", "b__x.png", "c.jpg", "d.png")
PHOTOS = Path(skimage.__file__).parent / "data"


@pytest.fixture
def photos(tmp_path):
    return make_images(tmp_path / "photos", NAMES, size=(96, 64))


def load(folder, format):
    """The set as supervision reads it: classes, and the detections by the name of the image."""
    images = str(folder / "images")
    if format == "coco":
        data = DetectionDataset.from_coco(images, str(folder / "annotations.json"), force_masks=True)
    elif format == "yolo":
        data = DetectionDataset.from_yolo(images, str(folder / "labels"), str(folder / "data.yaml"), force_masks=True)
    else:
        data = DetectionDataset.from_pascal_voc(images, str(folder / "annotations"), force_masks=True)
    return data.classes, {Path(path).relative_to(images).as_posix(): found for path, found in data.annotations.items()}


def union(detections, label, size):
    chosen = [mask for mask, number in zip(detections.mask, detections.class_id, strict=True) if number == label]
    return np.logical_or.reduce(chosen) if chosen else np.zeros(size, bool)


def iou(one, other):
    return (one & other).sum() / max(1, (one | other).sum())


class Fixed:
    """Finds the same segments in every image."""

    def __init__(self, ids, segments):
        self.found = PanopticMap(ids, tuple(segments))

    encode_text = Halves.encode_text
    images_together = 1

    def segment(self, source, encoded, background, masks=None):
        self.image, self.size, self.panoptic = read_input(source).pixels, self.found.ids.shape, lambda: self.found
        return self

    def __iter__(self):
        for one in self.found.segments:
            mask = CompactMask.of(self.found.ids == one.id)
            yield ResultSegment(one.id, one.label, "", one.is_thing, one.score, mask, one.proposal, None, ())


def hard_masks():
    """A ring, two far parts of one segment, a diagonal joint, a single row, noise; ids (64, 96)."""
    ids = np.zeros((64, 96), np.int32)
    ids[4:30, 4:30], ids[10:20, 12:25] = 1, 0
    ids[40:60, 2:10] = ids[40:45, 30:60] = 2
    ids[50:55, 70:75] = ids[55:60, 75:80] = 3
    ids[2, 40:90] = 4
    ids[10:38, 50:95] = np.where(np.random.default_rng(0).random((28, 45)) > 0.4, 5, 0)
    return ids, [Segment(i, (i - 1) % 3, True, 0.8, int((ids == i).sum()), proposal=i) for i in range(1, 6)]


@pytest.mark.parametrize("stand_in", ["halves", "hard"])
def test_a_coco_set_loads_back_exactly(photos, tmp_path, stand_in):
    model = Halves() if stand_in == "halves" else Fixed(*hard_masks())
    report = label_images(model, photos, "cat, dog, cow", tmp_path / "set", score=0.1, min_area=0)
    assert (report.done, report.failed) == (4, ())
    classes, found = load(tmp_path / "set", "coco")
    assert classes == ["cat", "dog", "cow"]
    assert set(found) == set(NAMES)
    reread = COCO(tmp_path / "set/annotations.json")
    for image in reread.loadImgs(reread.getImgIds()):
        name = image["file_name"]
        expected = model.segment(tmp_path / "set/images" / name, model.encode_text("cat, dog, cow"), None).panoptic()
        assert len(expected.segments) == len(found[name])
        annotations = reread.loadAnns(reread.getAnnIds(image["id"]))
        for segment, mask, label, annotation in zip(
            expected.segments, found[name].mask, found[name].class_id, annotations, strict=True
        ):
            inside = expected.ids == segment.id
            assert (mask == inside).all()
            assert (reread.annToMask(annotation) == inside).all()
            assert label == segment.label == annotation["category_id"] - 1
            assert (annotation["area"], annotation["iscrowd"]) == (inside.sum(), 0)
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            assert annotation["bbox"] == [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_polygons_load_back_but_for_specks(photos, tmp_path, format):
    model = Fixed(*hard_masks())
    label_images(model, photos, "cat, dog, cow", tmp_path / "set", format, 0.1, 0)
    classes, found = load(tmp_path / "set", format)
    assert sorted(classes) == ["cat", "cow", "dog"]
    ids = model.found.ids
    for name in IMAGES:
        expected = {"cat": (ids == 1) | (ids == 4), "dog": (ids == 2) | (ids == 5), "cow": ids == 3}
        ious = {word: iou(union(found[name], classes.index(word), ids.shape), expected[word]) for word in expected}
        assert ious["cow"] == 1
        assert ious["cat"] > 0.9  # a single row has no outline
        assert ious["dog"] > 0.95  # specks of one and two pixels in the noise


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_smooth_segments_load_back_as_polygons(photos, tmp_path, format):
    model = Halves()
    label_images(model, photos, "cat, dog", tmp_path / "set", format)
    classes, found = load(tmp_path / "set", format)
    for name in IMAGES:
        expected = model.segment(tmp_path / "set/images" / name, model.encode_text("cat, dog")).panoptic()
        for segment in expected.segments:
            label = classes.index(("cat", "dog")[segment.label])
            assert iou(union(found[name], label, expected.ids.shape), expected.ids == segment.id) > 0.995


def test_the_files_of_each_format(photos, tmp_path):
    for format, expected in [
        ("coco", {"annotations.json", *(f"annotations/{Path(name).with_suffix('.json')}" for name in NAMES)}),
        ("yolo", {"data.yaml", *(f"labels/{Path(name).stem}.txt" for name in IMAGES)}),
        ("voc", {f"annotations/{Path(name).stem}.xml" for name in IMAGES}),
    ]:
        images = NAMES if format == "coco" else IMAGES
        label_images(Halves(), photos, "cat, naïve: yes", tmp_path / format, format)
        files = contents(tmp_path / format)
        assert set(files) == {"run.json", *(f"images/{name}" for name in images)} | expected
        assert files["images/c.jpg"] == (photos / "c.jpg").read_bytes()
        assert load(tmp_path / format, format)[0] == ["cat", "naïve: yes"]
    assert yaml.safe_load((tmp_path / "yolo/data.yaml").read_text()) == {
        "path": "",
        "train": "images",
        "val": "images",
        "nc": 2,
        "names": ["cat", "naïve: yes"],
    }
    root = ElementTree.parse(tmp_path / "voc/annotations/a__x.xml").getroot()
    assert (root.findtext("filename"), root.findtext("source/database")) == ("a__x.png", "maskadapter")
    assert (root.findtext("size/width"), root.findtext("size/height"), root.findtext("size/depth")) == ("96", "64", "3")
    text = (tmp_path / "coco/annotations.json").read_text()
    assert "licen" not in text.replace('"licenses": []', "")
    assert "captured" not in text


def test_score_and_area_decide(photos, tmp_path):
    for given, labels in [
        ({}, {0, 1}),
        ({"score": 0.6}, {0, 1}),
        ({"score": 0.61}, {0}),
        ({"score": 0.91}, set()),
        ({"min_area": 0.3}, {0, 1}),
        ({"min_area": 0.99}, set()),
    ]:
        label_images(Halves(), photos, "cat, dog", tmp_path / "set", **given)
        classes, found = load(tmp_path / "set", "coco")
        assert classes == ["cat", "dog"]
        assert set(found) == set(NAMES)  # an image without labels stays, as background
        assert all(set(detections.class_id) == labels for detections in found.values())
        shutil.rmtree(tmp_path / "set")


def test_the_least_area_counts(photos, tmp_path):
    ids, segments = hard_masks()
    share = segments[2].area / ids.size
    for least, kept in [(share, 5), (np.nextafter(share, 1), 3)]:
        label_images(Fixed(ids, segments), photos / "d.png", "a, b, c", tmp_path / "set", "coco", 0.8, least)
        assert len(load(tmp_path / "set", "coco")[1]["d.png"]) == kept
        shutil.rmtree(tmp_path / "set")


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_an_image_without_labels_is_background(photos, tmp_path, format):
    label_images(Halves(), photos, "cat, dog", tmp_path / "set", format, score=1)
    _, found = load(tmp_path / "set", format)
    assert [len(found[name]) for name in IMAGES] == [0] * 4


def test_classes_of_one_name_stay_apart(photos, tmp_path):
    label_images(Halves(), photos / "d.png", "ade20k-847", tmp_path / "set", "coco")
    classes, _ = load(tmp_path / "set", "coco")
    assert len(set(classes)) == 847
    assert {"pot", "pot (2)"} < set(classes)


def odd_images(folder):
    make_images(folder, ["plain.jpg", "plain.png", "plain.JPEG"], size=(60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    make_images(folder, ["turned.jpg"], size=(60, 40), exif=exif)
    image = Image.open(folder / "plain.png")
    image.convert("CMYK").save(folder / "ink.jpg")
    image.convert("L").save(folder / "gray.png")
    image.convert("RGBA").save(folder / "clear.png")
    image.save(folder / "key.png", transparency=image.getpixel((0, 0)))
    image.save(folder / "lossy.webp")
    image.save(folder / "wrong.tif", format="PNG")
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27).save(folder / "deep.png")
    few_bits = np.arange(2400, dtype=np.uint16).reshape(40, 60, 1) + np.zeros(3, np.uint16)
    (folder / "twelve.png").write_bytes(wide_png(few_bits))  # almost black to other readers


def test_odd_images_agree_with_their_labels(tmp_path):
    odd_images(tmp_path / "photos")
    label_images(Halves(), tmp_path / "photos", "cat, dog", tmp_path / "set")
    _, found = load(tmp_path / "set", "coco")
    names = {path.stem: path for path in (tmp_path / "photos").iterdir() if path.stem != "plain"}
    names |= {path.name: path for path in (tmp_path / "photos").iterdir() if path.stem == "plain"}
    assert len(found) == len(names) == 12
    copied = set()
    for name, detections in found.items():
        path = tmp_path / "set/images" / name
        source = names[path.stem]
        with Image.open(path) as plain:  # what a reader sees that knows nothing of EXIF, palettes or transparency
            assert plain.mode == "RGB"
            assert 0x0112 not in plain.getexif()
            assert "transparency" not in plain.info
            seen = np.asarray(plain)
        assert detections.mask.shape[1:] == seen.shape[:2]
        tolerance = 0 if path.suffix == ".png" or path.read_bytes() == source.read_bytes() else 30
        assert abs(seen.astype(int) - read_image(source)).max() <= tolerance
        if path.read_bytes() == source.read_bytes():
            copied.add(source.name)
    assert copied == {"plain.jpg", "plain.png", "plain.JPEG", "wrong.tif"}
    assert (tmp_path / "set/images/turned.jpg").exists()
    assert (tmp_path / "set/images/wrong.png").exists()


def test_an_image_that_is_no_file(tmp_path):
    pixels = Image.new("RGB", (30, 20), "teal")
    report = label_images(Halves(), [ImageFile(pixels, "stdin")], "cat", tmp_path / "set", "yolo")
    assert report.done == 1
    assert (np.asarray(Image.open(tmp_path / "set/images/stdin.png")) == np.asarray(pixels)).all()


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "labelme"])
def test_stopped_and_resumed_is_the_same_as_one_run(photos, tmp_path, monkeypatch, format):
    (photos / "bad.jpg").write_text("words")
    report = label_images(Halves(), photos, "cat, dog", tmp_path / "whole", format)
    assert (report.done, len(report.failed)) == (4, 1)
    whole = contents(tmp_path / "whole")
    for stop in range(1, 5):
        folder, count, write = tmp_path / f"parts{stop}", [], labeling.label_text
        with monkeypatch.context() as patch:

            def break_off(*given, stop=stop, count=count, write=write):
                count.append(given)
                if len(count) == stop:
                    raise KeyboardInterrupt
                return write(*given)

            patch.setattr(labeling, "label_text", break_off)
            with pytest.raises(KeyboardInterrupt, match=f"stopped: {stop - 1} of 5 images are done"):
                label_images(Halves(), photos, "cat, dog", folder, format)
        parts = contents(folder)
        assert set(parts) < set(whole)
        assert all(whole[name] == parts[name] for name in parts if name != "run.json")
        report = label_images(Halves(), photos, "cat, dog", folder, format, resume=True)
        assert (report.done, report.before) == (4, stop - 1)
        assert contents(folder) == whole


def test_resume_adds_images(photos, tmp_path):
    for images in ([photos / "d.png"], [photos / "c.jpg"]):
        label_images(Halves(), images, "cat, dog", tmp_path / "parts", resume=True)
    label_images(Halves(), [photos / "d.png", photos / "c.jpg"], "cat, dog", tmp_path / "whole")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_folder_with_something_in_it_is_refused(photos, tmp_path):
    label_images(Halves(), photos, "cat", tmp_path / "set")
    before = contents(tmp_path / "set")
    with pytest.raises(MaskAdapterError, match=r"set is not empty: .* --resume goes on with one"):
        label_images(Halves(), photos, "cat", tmp_path / "set")
    for given, differs in [({"score": 0.4}, "score"), ({"format": "yolo"}, "format"), ({"min_area": 0}, "min_area")]:
        with pytest.raises(MaskAdapterError, match=rf"other settings \({differs}\)"):
            label_images(Halves(), photos, "cat", tmp_path / "set", resume=True, **given)
    assert contents(tmp_path / "set") == before
    with pytest.raises(MaskAdapterError, match="photos is not empty"):
        label_images(Halves(), photos / "d.png", "cat", photos, resume=True)
    with pytest.raises(MaskAdapterError, match=r"cannot write .*d\.png: Not a directory"):
        label_images(Halves(), photos / "c.jpg", "cat", photos / "d.png")


def test_mistakes_are_one_line(photos, tmp_path):
    for given, message in [
        ({"format": "csv"}, "unknown format 'csv': choose from coco, yolo, voc"),
        ({"score": 1.5}, "score is 1.5: a number from 0 to 1"),
        ({"min_area": -1}, "min_area is -1"),
        ({"min_area": float("nan")}, "min_area is nan"),
    ]:
        with pytest.raises(MaskAdapterError, match=message):
            label_images(Halves(), photos, "cat", tmp_path / "set", **given)
    make_images(photos, ["a__x.png"])
    with pytest.raises(MaskAdapterError, match="two images would be called a__x"):
        label_images(Halves(), photos, "cat", tmp_path / "set", "yolo")
    assert not (tmp_path / "set").exists()


def test_a_full_disk_stops_the_run(photos, tmp_path, monkeypatch):
    def fail(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labeling, "label_text", fail)
    with pytest.raises(MaskAdapterError, match=r"cannot write .*a__x\.txt: No space left on device; 0 of 4"):
        label_images(Halves(), photos, "cat", tmp_path / "set", "yolo")


def test_the_import_warns_of_nothing_and_hides_nothing_else():
    code = (
        "import warnings, maskadapter.results.detections as d\n"
        "warnings.simplefilter('always')\n"
        "before = list(warnings.filters)\n"
        "d.load_supervision()\n"
        "assert warnings.filters == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "OpenCV" not in done.stderr


@pytest.mark.parametrize("format", ["coco", "yolo", "voc"])
def test_without_supervision_only_coco_sets_are_written(photos, tmp_path, monkeypatch, format):
    monkeypatch.setitem(sys.modules, "supervision", None)  # as if it were not installed
    if format == "coco":
        assert label_images(Halves(), photos, "cat", tmp_path / "set", format).done == 4
        assert len(COCO(tmp_path / "set/annotations.json").getAnnIds()) == 8
        return
    with pytest.raises(MaskAdapterError, match=r"^supervision is needed for this: pip install 'maskadapter\[label\]'$"):
        label_images(Halves(), photos, "cat", tmp_path / "set", format)
    assert not (tmp_path / "set").exists()


def test_the_embedded_model_labels_photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("chelsea.png", "coffee.png"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    model, words = maskadapter.load(), "cat, cup, table"
    model.inference = replace(model.inference, input_size=InputSize(320, 320))  # quicker
    for format in ("coco", "yolo"):
        label_images(model, tmp_path / "photos", words, tmp_path / format, format, score=0.1, background=None)
    found = {format: load(tmp_path / format, format)[1] for format in ("coco", "yolo")}
    for name, labels in {"chelsea.png": {0}, "coffee.png": {1, 2}}.items():
        expected = model.segment(PHOTOS / name, words, background=None).panoptic()
        for format, least in (("coco", 1), ("yolo", 0.98)):
            assert labels <= set(found[format][name].class_id)
            for label in labels:
                ids = [s.id for s in expected.segments if s.label == label and s.area >= 0.001 * expected.ids.size]
                overlap = iou(union(found[format][name], label, expected.ids.shape), np.isin(expected.ids, ids))
                print(f"{name} {words.split(', ')[label]}: IoU of the {format} set {overlap:.6f}")
                assert overlap >= least


def test_every_given_mask_is_a_label(tmp_path):
    """Seven masks that overlap, touch, lie inside one another and are of one class."""
    make_images(tmp_path, ["d.png"], size=(96, 64))
    masks = np.zeros((7, 64, 96), bool)
    masks[0, :40, :50] = masks[1, 10:30, 10:40] = masks[2, 20:60, 30:90] = masks[3, 40:, :30] = True
    masks[4, 40:, 30:60] = masks[5, :, 92:] = masks[6, 12:16, 12:18] = True
    model = maskadapter.load()
    model.inference = replace(model.inference, input_size=InputSize(96, 96))
    for format in ("coco", "yolo", "voc"):
        label_images(model, tmp_path / "d.png", "cat, wall", tmp_path / format, format, masks=masks)
        (found,) = load(tmp_path / format, format)[1].values()
        assert len(found) == 7
        for mask in masks:
            assert max(iou(mask, other) for other in found.mask) == 1


@pytest.mark.parametrize("val", [0, 0.5])
def test_ultralytics_finds_images_and_labels(photos, tmp_path, val):
    """By its rules. Source: ultralytics 8.4.190, data/utils.py check_det_dataset and img2label_paths, data/base.py
    get_img_files; run once by hand with the same outcome."""
    label_images(Halves(), photos, "cat, dog", tmp_path / "set", "yolo", val=val)
    content = yaml.safe_load((tmp_path / "set/data.yaml").read_text())
    root = Path(content["path"] or tmp_path / "set")
    found = {}
    for split in ("train", "val"):
        place = root / content[split]
        if place.is_dir():
            images = [str(path) for path in place.glob("**/*.*")]
        else:
            images = [f"{place.parent}/{line.removeprefix('./')}" for line in place.read_text().splitlines()]
        labels = ["/labels/".join(path.rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt" for path in images]
        assert all(len(Path(path).read_text().splitlines()) >= 2 for path in labels)
        found[split] = {Path(path).name for path in images}
        assert all(Path(path).is_file() for path in images)
    assert found["train"] | found["val"] == set(IMAGES)
    assert found["train"] & found["val"] == (set() if val else set(IMAGES))
    assert content["nc"] == len(content["names"]) == 2


def test_a_hidden_image_that_is_named_is_in_the_set(tmp_path):
    make_images(tmp_path, [".photo.jpg", "dog.jpg"])
    sources = [tmp_path / ".photo.jpg", tmp_path / "dog.jpg"]
    label_images(Halves(), sources, "cat, wall", tmp_path / "set")
    images = json.loads((tmp_path / "set" / "annotations.json").read_text())["images"]
    assert sorted(image["file_name"] for image in images) == [".photo.jpg", "dog.jpg"]
