"""Reading data sets: what their files say, and what is wrong with files that do not fit."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from small_sets import PUBLISHED, SIZE, encoded, halves, image, panoptic_json, panoptic_label, shrink_counts

from maskadapter.data.catalog import KNOWN, category_ids, label_values
from maskadapter.data.formats.coco_instances import CocoInstances
from maskadapter.data.formats.coco_panoptic import CocoPanoptic
from maskadapter.data.formats.packed_records import Records
from maskadapter.data.formats.pairs import find_pairs
from maskadapter.data.formats.semantic_folder import SemanticFolder, values_from
from maskadapter.data.opening import open_dataset
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError, ImageError
from maskadapter.io.coco_format import encode_mask, panoptic_image
from maskadapter.vocabulary.vocabulary import Vocabulary

WORDS = Vocabulary.of("cat, dog, grass", things="cat, dog")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Images with label maps.


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
    return SemanticFolder("mine", WORDS, pairs, values_from(0, 3, ignored=[255, 65535]), folder / "images")


def test_values_become_classes(folder):
    dataset = semantic(folder)
    assert [sample.name for sample in dataset] == ["a.jpg", "garden/b.png"]
    assert np.array_equal(dataset[0].target.labels(), halves(0, -1, dtype=np.int32))
    assert dataset[1].target.classes.tolist() == [1, 2]
    assert (dataset[1].target.labels()[:, 0] == [2, 1, 1, 1, 1, 1]).all()


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (encoded(halves(0, 7)), r"garden/b\.png has the value 7 at 24 pixels, which none of the 3 classes of mine has"),
        (encoded(halves(0, 300, dtype=np.uint16)), r"b\.png has the value 300 at 24"),
        (encoded(halves(0, -1, dtype=np.int32), "TIFF"), r"b\.png has the value -1 at 24"),
        (encoded(np.zeros((*SIZE, 3), np.uint8)), r"b\.png is an RGB image: one channel"),
        (encoded(halves(0, 1, (6, 9))), r"b\.png has 9 x 6 pixels, its image .*garden/b\.png has 8 x 6"),
        (encoded(halves(0, 1))[:-30], r"damaged label map .*b\.png"),
        (b"no image", r"not an image that can be read: .*b\.png"),
    ],
)
def test_labels_that_do_not_fit(folder, label, words):
    (folder / "labels/garden/b.tif").unlink()
    write(folder / "labels/garden/b.png", label)
    dataset = semantic(folder)
    assert dataset[0].target.size == SIZE
    with pytest.raises(DatasetError, match=words):
        dataset[1]


def test_a_image_without_a_label(folder):
    dataset = semantic(folder)
    (folder / "labels/garden/b.tif").unlink()
    with pytest.raises(DatasetError, match=r"garden/b\.png has no label: .*labels/garden/b\.tif is missing"):
        dataset[1]
    with pytest.raises(DatasetError, match=r"images/garden/b\.png has no label in .*labels: b\.png is needed"):
        semantic(folder)
    (folder / "labels/a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.jpg has no label in .*, and 1 more have none"):
        semantic(folder)


def test_black_and_white_labels(folder):
    write(folder / "labels/a.png", encoded(halves(0, 1).astype(bool)))
    assert semantic(folder)[0].target.classes.tolist() == [0, 1]


# COCO panoptic.


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
    return CocoPanoptic("mine", WORDS, folder / "panoptic.json", folder / "images", folder / "labels", classes)


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


def change(path, edit):
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c["annotations"].pop(), r"panoptic\.json has 0 labels for 000000000139\.jpg"),
        (lambda c: c["annotations"].append(c["annotations"][0]), r"has 2 labels for 000000000285\.jpg"),
        (lambda c: c["annotations"][0]["segments_info"][1].update(category_id=7), r"category 7, which is not among"),
        (lambda c: c["annotations"][0].pop("segments_info"), r"panoptic\.json is no COCO file: .* no 'segments_info'"),
        (lambda c: c["annotations"][0].update(image_id=5), r"an annotation of image 5, which it does not list"),
        (lambda c: c["images"].append(c["images"][0]), "lists images of the same id"),
        (lambda c: c.pop("images"), 'has no list of "images"'),
        (lambda c: c.update(annotations=[3]), r"panoptic\.json is no COCO file"),
    ],
)
def test_a_panoptic_json_that_does_not_fit(panoptic, edit, words):
    change(panoptic / "panoptic.json", edit)
    with pytest.raises(DatasetError, match=words):
        read_panoptic(panoptic)


def test_panoptic_images_that_do_not_fit(panoptic):
    change(panoptic / "panoptic.json", lambda c: c["annotations"][0]["segments_info"].pop())
    dataset = read_panoptic(panoptic)
    assert len(dataset[0].target.classes) == 2
    with pytest.raises(DatasetError, match=r"285\.png has a segment 70000 that its JSON does not list"):
        dataset[1]
    write(panoptic / "labels/000000000285.png", encoded(halves(0, 1)))
    with pytest.raises(DatasetError, match=r"285\.png is no panoptic PNG: RGB"):
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


def test_a_json_that_is_none(tmp_path):
    with pytest.raises(DatasetError, match=r"no such file: .*panoptic\.json"):
        read_panoptic(tmp_path)
    write(tmp_path / "panoptic.json", b"{")
    with pytest.raises(DatasetError, match=r"cannot read .*panoptic\.json as JSON"):
        read_panoptic(tmp_path)


# COCO instances.


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
    return CocoInstances("mine", WORDS, folder / "instances.json", folder, {10: 1, 11: 0})


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
    ("edit", "words"),
    [
        (lambda c: c["annotations"][0].update(category_id=12), r"instances\.json has .* category 12"),
        (lambda c: c["annotations"][0].pop("segmentation"), "an entry has no 'segmentation'"),
        (lambda c: c["images"][0].pop("width"), "an entry has no 'width'"),
        (lambda c: c["images"][1].pop("coco_url"), "an entry has no 'coco_url'"),
        (lambda c: c["images"][0].update(height="tall"), r"instances\.json is no COCO file"),
    ],
)
def test_an_instance_json_that_does_not_fit(instances, edit, words):
    change(instances[0] / "instances.json", edit)
    with pytest.raises(DatasetError, match=words):
        read_instances(instances[0])


def test_masks_that_do_not_fit(instances):
    folder = instances[0]
    change(folder / "instances.json", lambda c: c["annotations"][2]["segmentation"].update(counts=[1, 2]))
    with pytest.raises(DatasetError, match=r"instances\.json, annotation 2 of a\.jpg: a run-length mask has 3 pixels"):
        read_instances(folder)[0]
    change(folder / "instances.json", lambda c: c["images"][0].update(height=7))
    with pytest.raises(DatasetError, match=r"instances\.json has 8 x 7 pixels, its image .*a\.jpg has 8 x 6"):
        read_instances(folder)[0]


# ADE20K's segments.


@pytest.fixture
def ade20k(tmp_path):
    """Wall at the left, two beds at the right of which the first reaches over the wall; a window without instance."""
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


def test_ade20k_stuff_that_instances_cover_is_no_segment(ade20k):
    things = np.full((*SIZE, 3), (100, 1, 0), np.uint8)
    write(ade20k / "annotations_instance/validation/x.png", encoded(things))
    target = open_dataset("ade20k-150", ade20k, task="panoptic")[0].target
    assert target.classes.tolist() == [149]  # the hundredth thing is flag
    assert (target.segment_ids == 0).all()


@pytest.mark.parametrize(
    ("folder", "label", "words"),
    [
        ("annotations_instance", halves(1, 2), r"x\.png is no instance label of ADE20K: RGB"),
        ("annotations_instance", np.full((*SIZE, 3), (101, 1, 0)), r"x\.png has the thing 101; .* 1 to 100"),
        ("annotations_instance", np.full((*SIZE, 3), (0, 1, 0)), "has the thing 0"),
        ("annotations_instance", np.dstack([halves(1, 2), halves(1, 1), halves(0, 0)]), "is two different things"),
        ("annotations_instance", np.zeros((5, 5, 3)), "has 5 x 5 pixels, its image"),
        ("annotations", halves(1, 151), r"annotations/validation/x\.png has the value 151"),
        ("annotations", halves(1, 2, dtype=np.uint16), "is no label map of 8 bits"),
    ],
)
def test_ade20k_labels_that_do_not_fit(ade20k, folder, label, words):
    label = label if label.dtype == np.uint16 else label.astype(np.uint8)
    write(ade20k / folder / "validation/x.png", encoded(label))
    dataset = open_dataset("ade20k-150", ade20k, task="panoptic")
    with pytest.raises(DatasetError, match=words):
        dataset[0]


# Known sets.


def test_tables_have_the_official_numbers():
    assert {name: len(category_ids(name)) for name in ("ade20k-847", "coco-panoptic", "coco-stuff", "lvis-v1")} == {
        "ade20k-847": 847,
        "coco-panoptic": 133,
        "coco-stuff": 171,
        "lvis-v1": 1203,
    }
    for name in KNOWN:
        vocabulary = Vocabulary.builtin(name)
        if name in ("coco-panoptic", "lvis-v1"):
            assert list(category_ids(name).values()) == list(range(len(vocabulary)))
        else:
            classes = set(label_values(name).values())
            assert classes == {-1, *range(len(vocabulary))}
    assert {id: category_ids("coco-panoptic")[id] for id in (1, 90, 92, 200)} == {1: 0, 90: 79, 92: 80, 200: 132}
    stuff = label_values("coco-stuff")
    assert [stuff[value] for value in (0, 10, 11, 12, 90, 91, 181, 255)] == [0, 10, -1, 11, -1, 80, 170, -1]
    assert 182 not in stuff
    assert [category_ids("ade20k-847")[id] for id in (2978, 312, 3148)] == [0, 1, 846]
    # Source: the splits' sizes in the data sets' documentation.
    assert {name: tuple(split.count for split in known.splits.values()) for name, known in KNOWN.items()} == {
        "ade20k-150": (20_210, 2_000),
        "ade20k-847": (25_574, 2_000),
        "pascal-context-59": (4_998, 5_105),
        "pascal-context-459": (4_998, 5_105),
        "pascal-voc-20": (1_464, 1_449),
        "coco-panoptic": (118_287, 5_000),
        "coco-stuff": (118_287, 5_000),
        "lvis-v1": (100_170, 19_809),
    }


@pytest.fixture
def prepared(tmp_path, monkeypatch, request):
    """A folder of data sets with one known set in it."""
    shrink_counts(monkeypatch)
    for file, content in PUBLISHED[request.param]().items():
        write(tmp_path / file, content)
    prepare(request.param, tmp_path, offline=True)
    return request.param, tmp_path


@pytest.mark.parametrize("prepared", sorted(PUBLISHED), indirect=True)
def test_known_sets_are_found_from_any_of_their_folders_and_travel_to_workers(prepared):
    name, root = prepared
    own = root / KNOWN[name].folder
    renamed = own.rename(own.with_name("another name"))
    assert len(open_dataset(name, renamed, "train")) == 2
    renamed.rename(own)
    for place in (root, own.parent, own):
        dataset = open_dataset(name, place, "train")
        assert len(dataset) == 2
    copy = pickle.loads(pickle.dumps(dataset))
    for index in range(2):
        first, second = dataset[index], copy[index]
        assert first.name == second.name
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.target.masks(), second.target.masks())
        assert first.target.classes.tolist() == second.target.classes.tolist()
    assert len({sample.name for sample in dataset}) == 2


@pytest.mark.parametrize("prepared", ["pascal-voc-20"], indirect=True)
def test_a_label_that_is_missing_is_told_at_once(prepared):
    name, root = prepared
    (root / "VOCdevkit/VOC2012/SegmentationClass/2008_000139.png").unlink()
    with pytest.raises(
        DatasetError, match=r"2008_000139\.jpg has no label in .*run: maskadapter prepare pascal-voc-20"
    ):
        open_dataset(name, root)


def test_sets_that_are_not_there(tmp_path):
    words = rf"no coco-stuff \(val\) in .*coco: val2017 is missing; .*maskadapter prepare coco-stuff --root {tmp_path}"
    with pytest.raises(DatasetError, match=words):
        open_dataset("coco-stuff", tmp_path)
    with pytest.raises(DatasetError, match="did you mean 'coco-stuff'"):
        open_dataset("coco-stuf", tmp_path)
    with pytest.raises(DatasetError, match='has no split "test"; there are train, val'):
        open_dataset("coco-stuff", tmp_path, "test")
    with pytest.raises(DatasetError, match="coco-stuff has no panoptic truth; it has semantic"):
        open_dataset("coco-stuff", tmp_path, task="panoptic")
    with pytest.raises(DatasetError, match="give the folder that holds it as root"):
        open_dataset("coco-stuff")


def test_records():
    values = [[1, "a"], [], {"x": [1.5]}]
    records = Records(iter(values))
    assert [*records] == values
    assert records[-1] == values[-1]
    assert pickle.loads(pickle.dumps(records))[1] == []
    with pytest.raises(IndexError):
        records[3]
    assert len(Records([])) == 0


# The real COCO.

COCO = Path(os.environ.get("MASKADAPTER_COCO", "none"))
needs_coco = pytest.mark.skipif(not COCO.is_dir(), reason="MASKADAPTER_COCO names no folder of COCO 2017")


@needs_coco
@pytest.mark.parametrize("split", ["train", "val"])
def test_real_coco_panoptic(split):
    dataset = open_dataset("coco-panoptic", COCO, split)
    assert len(dataset) >= 50
    listed = json.loads((COCO / f"annotations/panoptic_{split}2017.json").read_bytes())
    names = {row["id"]: row["name"] for row in listed["categories"]}
    by_id = {row["image_id"]: row for row in listed["annotations"]}
    crowds = 0
    for index in range(50):
        sample = dataset[index]
        segments = by_id[listed["images"][index]["id"]]["segments_info"]
        assert sample.name == listed["images"][index]["file_name"]
        # COCO states the area of every segment.
        assert sample.target.masks().sum(axis=(1, 2)).tolist() == [segment["area"] for segment in segments]
        assert sorted(set(sample.target.classes.tolist())) == dataset.classes_of(index)
        for number, segment in zip(sample.target.classes, segments, strict=True):
            first = names[segment["category_id"]].split("-")[0]
            assert any(first in name or name in first for name in dataset.vocabulary.classes[number]) or first in (
                "light",
                "remote",
                "rug",
            )
        crowds += int(sample.target.is_crowd.sum())
    assert split == "train" or crowds == 2


@needs_coco
def test_real_coco_instances(tmp_path):
    described = {
        "task": "instance",
        "train": {
            "images": str(COCO / "train2017"),
            "annotations": str(COCO / "annotations/instances_train2017.json"),
        },
    }
    path = tmp_path / "coco.yaml"
    path.write_text(json.dumps(described))
    dataset = open_dataset(path, split="train")
    assert len(dataset.vocabulary) == 80
    listed = json.loads((COCO / "annotations/instances_train2017.json").read_bytes())
    areas = {}
    for row in listed["annotations"]:
        areas.setdefault(row["image_id"], []).append(row["area"])
    off = []
    for index in range(0, len(dataset), 5):
        target = dataset[index].target
        pixels = target.masks().sum(axis=(1, 2)).tolist()
        expected = areas.get(listed["images"][index]["id"], [])
        assert len(pixels) == len(expected)
        off += [abs(a - b) / b for a, b, crowd in zip(pixels, expected, target.is_crowd, strict=True) if b > 2_000]
    # The area of a polygon against its pixels.
    assert len(off) > 50
    assert np.median(off) < 0.01


@needs_coco
def test_real_coco_is_not_whole():
    with pytest.raises(DatasetError, match=r"coco-panoptic in .* is not whole: val: .*has 50 of 5,000 images"):
        prepare("coco-panoptic", COCO, ("val",), offline=True)
