"""Data sets of the parts: what other programs read in them equals what was found."""

import json
from collections import Counter

import numpy as np
import pytest
from many import Halves, make_images
from PIL import Image
from pycocotools.coco import COCO

import maskadapter as ma
from maskadapter.errors import MaskAdapterError
from maskadapter.io import panoptic_ids

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")

CLASSES = "cat, wall"


@pytest.fixture
def plan(photos, tmp_path, compute):
    made = ma.plan_shards(photos, CLASSES, tmp_path / "bulk", shard_size=4)
    compute(made)
    return made


@pytest.fixture
def loop(photos):
    (photos / "bad.png").unlink()
    return {path.stem: result for path, result in ma.segment_each(Halves(), photos, CLASSES)}


def test_coco_is_what_the_plain_loop_finds(plan, tmp_path, loop):
    report = ma.export_shards(plan.folder, tmp_path / "coco")
    assert (report.images, report.without, report.segments) == (5, 1, sum(map(len, loop.values())))
    coco = COCO(tmp_path / "coco" / "annotations.json")
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["cat", "wall"]
    assert len(coco.imgs) == 5
    for image in coco.imgs.values():
        result = loop[image["file_name"].partition(".")[0]]
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert len(annotations) == len(result)
        for annotation, segment in zip(annotations, result, strict=True):
            assert np.array_equal(coco.annToMask(annotation), segment.mask)
            assert annotation["category_id"] == segment.label + 1
            assert annotation["score"] == pytest.approx(segment.score, abs=1e-6)


def test_panoptic_is_what_the_plain_loop_finds(plan, tmp_path, loop):
    ma.export_shards(plan.folder, tmp_path / "pan", "panoptic")
    content = json.loads((tmp_path / "pan" / "panoptic.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert len(content["annotations"]) == 5
    for annotation in content["annotations"]:
        result = loop[names[annotation["image_id"]].partition(".")[0]].panoptic()
        ids = panoptic_ids(np.asarray(Image.open(tmp_path / "pan" / "panoptic" / annotation["file_name"])))
        assert np.array_equal(ids, result.ids)
        assert [one["category_id"] for one in annotation["segments_info"]] == [one.label + 1 for one in result.segments]


def test_score_and_area_choose(plan, tmp_path):
    everything = ma.export_shards(plan.folder, tmp_path / "0")
    sure = ma.export_shards(plan.folder, tmp_path / "1", score=0.8)
    large = ma.export_shards(plan.folder, tmp_path / "2", min_area=0.9)
    assert 0 < sure.segments < everything.segments
    assert (large.segments, large.images) == (0, 5)


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_supervision_reads_the_set_that_label_writes(plan, photos, tmp_path, format):
    sv = pytest.importorskip("supervision")
    report = ma.export_shards(plan.folder, tmp_path / "set", format)
    assert (report.images, report.failed) == (5, ())
    (photos / "bad.png").unlink()
    ma.label_images(Halves(), photos, CLASSES, tmp_path / "label", format, score=0, min_area=0)
    for place in ("set", "label"):
        folder = tmp_path / place
        if format == "yolo":
            read = sv.DetectionDataset.from_yolo(folder / "images", folder / "labels", folder / "data.yaml")
        else:
            read = sv.DetectionDataset.from_pascal_voc(folder / "images", folder / "annotations")
        assert len(read) == 5
    made, labeled = ({p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*")} for n in ("set", "label"))
    assert made == labeled - {next(p for p in labeled if p.name == "run.json")}
    for path in made:
        assert (tmp_path / "set" / path).read_bytes() == (tmp_path / "label" / path).read_bytes(), path


def test_images_that_changed_are_left_out_and_reported(plan, photos, tmp_path):
    pytest.importorskip("supervision")
    make_images(photos, ["other.png"], (9, 9))
    (photos / "other.png").rename(photos / "c.png")
    (photos / "d.png").unlink()
    report = ma.export_shards(plan.folder, tmp_path / "yolo", "yolo")
    assert report.images == 3
    assert report.failed == (
        f"{photos / 'c.png'} is not the image that was segmented: it changed since then",
        f"no such file: {photos / 'd.png'}",
    )


def test_images_of_one_name_are_all_in_the_set(tmp_path, compute):
    pytest.importorskip("supervision")
    for folder in ("one", "two"):
        make_images(tmp_path / folder, ["a.png", "a.jpg"])
    plan = ma.plan_shards([tmp_path / "one", tmp_path / "two"], CLASSES, tmp_path / "bulk")
    compute(plan)
    ma.export_shards(plan.folder, tmp_path / "yolo", "yolo")
    stems = {folder: sorted(p.stem for p in (tmp_path / "yolo" / folder).iterdir()) for folder in ("images", "labels")}
    assert stems["images"] == stems["labels"] == ["a", "a-2", "a-3", "a-4"]
    ma.export_shards(plan.folder, tmp_path / "pan", "panoptic")
    content = json.loads((tmp_path / "pan" / "panoptic.json").read_text())
    assert Counter(Counter(one["file_name"] for one in content["annotations"]).values()) == {1: 4}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": "png"}, "unknown format 'png': choose from coco, yolo, voc, panoptic"),
        ({"score": 2}, "score is 2"),
        ({"output": "photos"}, "photos is not empty"),
    ],
)
def test_exports_that_cannot_be(plan, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MaskAdapterError, match=message):
        ma.export_shards(**{"folder": plan.folder, "output": "new"} | given)


def test_shards_that_are_not_done_are_named(plan, tmp_path):
    plan.part(1).unlink()
    with pytest.raises(MaskAdapterError, match="1 of 2 shards are not done: finish them with 'maskadapter bulk run"):
        ma.export_shards(plan.folder, tmp_path / "coco")
    assert not (tmp_path / "coco").exists()
