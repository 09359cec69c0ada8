"""``prepare`` fetches, unpacks and converts small imitations of the official archives, served by this machine."""

import json
import logging
import shutil

import numpy as np
import pytest
import small_sets
from file_server import Cut, FileServer
from small_sets import PUBLISHED, halves, publish, put

from maskadapter.data.catalog import KNOWN
from maskadapter.data.opening import open_dataset
from maskadapter.data.prepare import archives as archives_module
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError

NAMES = sorted(PUBLISHED)


@pytest.fixture
def server():
    with FileServer() as server:
        yield server


def state(root):
    """Return every file in a folder with its modification time."""
    return {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*")) if path.is_file()}


def labels_of(name):
    """Return the ground truth of every image of an imitation, (H, W), as class indices."""
    if name == "ade20k-150":
        label = halves(0, 7, dtype=np.int32)
        label[0] = -1
    elif name == "ade20k-847":
        label = halves(0, -1, dtype=np.int32)
    elif name == "pascal-voc-20":
        label = halves(14, -1, dtype=np.int32)
        label[:, 3] = -1
    elif name == "pascal-context-459":
        label = halves(458, -1, dtype=np.int32)
    elif name == "pascal-context-59":
        label = np.array([[0, 0, 0, 58, 58, 58, -1, -1]] * 6)
    elif name == "coco-stuff":
        label = halves(0, 170, dtype=np.int32)
        label[0, :3] = (-1, -1, 80)
    elif name == "coco-panoptic":
        label = halves(0, 132, dtype=np.int32)
        label[:, 4] = -1
    return label


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ade20k-847"])
def test_from_the_network_and_never_twice(name, root, server, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "maskadapter")
    publish(monkeypatch, server, name)
    own = prepare(name, root)
    assert own == root / KNOWN[name].folder
    assert "train: 2 images, complete" in caplog.messages
    for split in ("train", "val"):
        dataset = open_dataset(name, root, split)
        assert (dataset.name, len(dataset)) == (name, 2)
        for index in range(2):
            sample = dataset[index]
            assert sample.image.shape == (*small_sets.SIZE, 3)
            if name != "lvis-v1":
                assert np.array_equal(sample.target.labels(), labels_of(name))
    before, asked = state(root), len(server.asked)
    prepare(name, own)  # the own folder works like the folder of all data sets
    assert state(root) == before
    assert len(server.asked) == asked


@pytest.mark.parametrize("name", NAMES)
def test_from_archives_in_the_folder_without_a_network(name, root):
    put(root, name)
    prepare(name, root, offline=True)
    assert len(open_dataset(name, root, "val")) == 2
    left = [path.name for path in root.rglob("*") if path.name.startswith(".") or path.name.endswith(".part")]
    assert left == []


def test_one_split_alone_brings_only_its_files(root, server, monkeypatch):
    publish(monkeypatch, server, "coco-panoptic")
    prepare("coco-panoptic", root, ("val",))
    assert {asked.path for asked in server.asked} == {"/val2017.zip", "/panoptic_annotations_trainval2017.zip"}
    assert sorted(path.name for path in (root / "coco").iterdir()) == ["annotations", "panoptic_val2017", "val2017"]


def test_sets_share_the_images(root, server, monkeypatch):
    publish(monkeypatch, server, "coco-panoptic")
    publish(monkeypatch, server, "lvis-v1")
    prepare("coco-panoptic", root)
    server.asked.clear()
    prepare("lvis-v1", root)
    assert {asked.path for asked in server.asked} == {"/lvis_v1_train.json.zip", "/lvis_v1_val.json.zip"}


def test_an_interrupted_download_is_resumed(root, server, monkeypatch):
    publish(monkeypatch, server, "pascal-voc-20")
    size = len(PUBLISHED["pascal-voc-20"]()["VOCtrainval_11-May-2012.tar"])
    server.faults.extend([Cut(5_000)] + [Cut(0)] * 5)
    with pytest.raises(DatasetError, match=r"download VOCtrainval.*the same command resumes.*or download http"):
        prepare("pascal-voc-20", root)
    assert not (root / "VOCtrainval_11-May-2012.tar").exists()
    server.asked.clear()
    prepare("pascal-voc-20", root)
    assert server.ranges() == ["bytes=5000-"]
    assert (root / "VOCtrainval_11-May-2012.tar").stat().st_size == size
    assert [path.name for path in root.iterdir() if ".part" in path.name] == []


@pytest.mark.parametrize("name", ["ade20k-150", "pascal-voc-20"])  # a zip and a tar
def test_an_interrupted_unpacking_is_resumed(root, monkeypatch, name):
    put(root, name)
    write, written = archives_module._write, []

    def stopping(content, path, size):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        write(content, path, size)

    with monkeypatch.context() as patch:
        patch.setattr(archives_module, "_write", stopping)
        with pytest.raises(KeyboardInterrupt):
            prepare(name, root, offline=True)
    before = state(root)
    assert len(written) == 3
    prepare(name, root, offline=True)
    assert before.items() <= state(root).items()


@pytest.mark.parametrize("name", ["ade20k-847", "pascal-context-59", "pascal-context-459"])
def test_an_interrupted_conversion_is_resumed(root, name):
    put(root, name)
    own = prepare(name, root, offline=True)
    labels = own / KNOWN[name].splits["val"].labels
    lost = next(labels.iterdir())
    lost.unlink()
    before = {path: time for path, time in state(root).items() if path.stem != lost.stem}
    prepare(name, root, offline=True)
    assert before.items() <= state(root).items()
    assert len(list(labels.iterdir())) == 2


def test_missing_archives_are_named(root):
    with pytest.raises(DatasetError) as refused:
        prepare("ade20k-847", root)
    for message in ("images has 0 of 2 images", "register at https://groups.csail.mit.edu", f"into {root}"):
        assert message in str(refused.value)
    with pytest.raises(DatasetError, match=r"train2017 is missing, .*train2017.zip is needed, from http://images"):
        prepare("coco-panoptic", root, offline=True)
    assert not root.exists()


@pytest.mark.parametrize(
    ("name", "lost", "message"),
    [
        ("ade20k-150", "images/validation/ADE_val_00000002.jpg", "val: images/validation has 1 of 2 images"),
        ("ade20k-150", "annotations/training/ADE_train_00000001.png", "train: annotations/training lacks ADE_train"),
        ("coco-panoptic", "val2017/000000000285.jpg", "val: val2017 lacks 000000000285.jpg"),
        ("coco-panoptic", "panoptic_val2017/000000000139.png", "val: panoptic_val2017 lacks 000000000139.png"),
        ("lvis-v1", "train2017/000000000009.jpg", "train: train2017 lacks 000000000009.jpg"),
        ("pascal-voc-20", "SegmentationClass/2008_000139.png", "val: SegmentationClass lacks 2008_000139.png"),
        ("pascal-context-59", "JPEGImages/2008_000285.jpg", "val: JPEGImages lacks 2008_000285.jpg"),
    ],
)
def test_missing_files_are_named_and_fetched(name, lost, message, root, tmp_path):
    put(root, name)
    prepare(name, root, offline=True)
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in PUBLISHED[name]():
        shutil.move(root / file, kept / file)
    (root / KNOWN[name].folder / lost).unlink()
    with pytest.raises(DatasetError, match=message):
        prepare(name, root, offline=True)
    for file in kept.iterdir():
        shutil.move(file, root / file.name)
    prepare(name, root, offline=True)
    assert (root / KNOWN[name].folder / lost).is_file()


def test_a_json_with_fewer_images_is_incomplete(root):
    put(root, "lvis-v1")
    prepare("lvis-v1", root, offline=True)
    (root / "lvis_v1_val.json.zip").unlink()
    path = root / "coco/annotations/lvis_v1_val.json"
    content = json.loads(path.read_bytes())
    content["images"] = content["images"][:1]
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"val: annotations/lvis_v1_val\.json has 1 of 2 images"):
        prepare("lvis-v1", root, offline=True)


def test_semantic_labels_do_not_need_instance_labels(root, caplog):
    caplog.set_level(logging.INFO, "maskadapter")
    put(root, "ade20k-150")
    (root / "annotations_instance.tar").unlink()
    prepare("ade20k-150", root, ("val",), offline=True)
    assert caplog.messages[0] == "val: 2 images, complete"
    assert caplog.messages[1].startswith("val: no instance labels: annotations_instance/validation is missing")
    with pytest.raises(DatasetError, match=r"annotations_instance/validation is missing; .*maskadapter prepare"):
        open_dataset("ade20k-150", root, task="panoptic")


def test_instance_labels_that_cannot_be_downloaded_are_logged(root, server, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "maskadapter")
    publish(monkeypatch, server, "ade20k-150")
    del server.files["/annotations_instance.tar"]
    prepare("ade20k-150", root, ("val",))
    assert caplog.messages[0] == "val: 2 images, complete"
    assert caplog.messages[1].startswith("val: no instance labels: cannot download annotations_instance.tar")


def test_an_unknown_name_or_split(root):
    with pytest.raises(DatasetError, match=r"unknown data set \"ade20k\"; did you mean 'ade20k-150' or 'ade20k-847'.$"):
        prepare("ade20k", root)
    with pytest.raises(DatasetError, match='no split "test"; there are train, val'):
        prepare("lvis-v1", root, ("test",))
