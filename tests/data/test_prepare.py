"""``prepare`` from archives that this machine serves: small imitations of each official one."""

import io
import json
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
import small_sets
import torch
from file_server import Cut, FileServer
from PIL import Image
from small_sets import PUBLISHED, halves, publish, shrink_counts, tarred, zipped

from maskadapter.cli import main
from maskadapter.data.catalog import KNOWN
from maskadapter.data.opening import open_dataset
from maskadapter.data.prepare import archives as archives_module
from maskadapter.data.prepare.ade20k import classes_847, shrink_image, shrink_labels, small_size
from maskadapter.data.prepare.pascal import read_label_map
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError
from maskadapter.system import http_download as transfer

NAMES = sorted(PUBLISHED)


@pytest.fixture(autouse=True)
def two_images(monkeypatch):
    shrink_counts(monkeypatch)
    monkeypatch.delenv("MASKADAPTER_OFFLINE", raising=False)
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)


@pytest.fixture
def server():
    with FileServer() as server:
        yield server


@pytest.fixture
def root(tmp_path):
    return tmp_path / "datasets"


def put(root, name):
    """The archives of a set, as a user downloads them."""
    root.mkdir(parents=True, exist_ok=True)
    for file, content in PUBLISHED[name]().items():
        (root / file).write_bytes(content)


def state(root):
    """Everything that lies in a folder and when it was written."""
    return {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*")) if path.is_file()}


def labels_of(name):
    """What every image of the imitation shows, (H, W), by the index of the class."""
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
def test_from_the_network_and_never_twice(name, root, server, monkeypatch):
    publish(monkeypatch, server, name)
    said = []
    own = prepare(name, root, say=said.append)
    assert own == root / KNOWN[name].folder
    assert "train: 2 images, complete" in said
    for split in ("train", "val"):
        dataset = open_dataset(name, root, split)
        assert (dataset.name, len(dataset), len(dataset.vocabulary)) == (name, 2, len(dataset.vocabulary))
        for index in range(2):
            sample = dataset[index]
            assert sample.image.shape == (*small_sets.SIZE, 3)
            if name != "lvis-v1":
                assert np.array_equal(sample.target.labels(), labels_of(name))
    before, asked = state(root), len(server.asked)
    prepare(name, own)  # its own folder is as good as the folder of all
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


def test_a_cut_download_goes_on_where_it_stopped(root, server, monkeypatch):
    publish(monkeypatch, server, "pascal-voc-20")
    size = len(PUBLISHED["pascal-voc-20"]()["VOCtrainval_11-May-2012.tar"])
    server.faults.extend([Cut(5_000)] + [Cut(0)] * 5)
    with pytest.raises(DatasetError, match=r"download VOCtrainval.*the same command goes on.*or download http"):
        prepare("pascal-voc-20", root)
    assert not (root / "VOCtrainval_11-May-2012.tar").exists()
    server.asked.clear()
    prepare("pascal-voc-20", root)
    assert server.ranges() == ["bytes=5000-"]
    assert (root / "VOCtrainval_11-May-2012.tar").stat().st_size == size
    assert [path.name for path in root.iterdir() if ".part" in path.name] == []


@pytest.mark.parametrize("name", ["ade20k-150", "pascal-voc-20"])  # a zip and a tar
def test_an_unpacking_that_was_stopped_goes_on(root, monkeypatch, name):
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
def test_a_conversion_that_was_stopped_goes_on(root, name):
    put(root, name)
    own = prepare(name, root, offline=True)
    labels = own / KNOWN[name].splits["val"].labels
    lost = next(labels.iterdir())
    lost.unlink()
    before = {path: time for path, time in state(root).items() if path.stem != lost.stem}
    prepare(name, root, offline=True)
    assert before.items() <= state(root).items()
    assert len(list(labels.iterdir())) == 2


def test_what_is_missing_is_told(root):
    with pytest.raises(DatasetError) as told:
        prepare("ade20k-847", root)
    for words in ("images has 0 of 2 images", "register at https://groups.csail.mit.edu", f"into {root}"):
        assert words in str(told.value)
    with pytest.raises(DatasetError, match=r"train2017 is missing, .*train2017.zip is needed, from http://images"):
        prepare("coco-panoptic", root, offline=True)
    assert not root.exists()


@pytest.mark.parametrize(
    ("name", "lost", "words"),
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
def test_wrong_counts_are_told_and_filled(name, lost, words, root, tmp_path):
    put(root, name)
    prepare(name, root, offline=True)
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in PUBLISHED[name]():
        shutil.move(root / file, kept / file)
    (root / KNOWN[name].folder / lost).unlink()
    with pytest.raises(DatasetError, match=words):
        prepare(name, root, offline=True)
    for file in kept.iterdir():
        shutil.move(file, root / file.name)
    prepare(name, root, offline=True)
    assert (root / KNOWN[name].folder / lost).is_file()


def test_a_json_with_fewer_images_is_told(root):
    put(root, "lvis-v1")
    prepare("lvis-v1", root, offline=True)
    (root / "lvis_v1_val.json.zip").unlink()
    path = root / "coco/annotations/lvis_v1_val.json"
    content = json.loads(path.read_bytes())
    content["images"] = content["images"][:1]
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"val: annotations/lvis_v1_val\.json has 1 of 2 images"):
        prepare("lvis-v1", root, offline=True)


def test_semantic_labels_do_without_instance_labels(root):
    put(root, "ade20k-150")
    (root / "annotations_instance.tar").unlink()
    said = []
    prepare("ade20k-150", root, ("val",), offline=True, say=said.append)
    assert said[0] == "val: 2 images, complete"
    assert said[1].startswith("val: no instance labels: annotations_instance/validation is missing")
    with pytest.raises(DatasetError, match=r"annotations_instance/validation is missing; .*maskadapter prepare"):
        open_dataset("ade20k-150", root, task="panoptic")


def test_instance_labels_that_cannot_be_had_are_told(root, server, monkeypatch):
    publish(monkeypatch, server, "ade20k-150")
    del server.files["/annotations_instance.tar"]
    said = []
    prepare("ade20k-150", root, ("val",), say=said.append)
    assert said[0] == "val: 2 images, complete"
    assert said[1].startswith("val: no instance labels: cannot download annotations_instance.tar")


def test_an_unknown_name_or_split(root):
    with pytest.raises(DatasetError, match=r"no data set \"ade20k\"; did you mean 'ade20k-150' or 'ade20k-847'.$"):
        prepare("ade20k", root)
    with pytest.raises(DatasetError, match='no split "test"; there are train, val'):
        prepare("lvis-v1", root, ("test",))


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "C:evil.png", "..\\evil.png"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_that_lead_outside_are_refused(root, name, pack):
    root.mkdir()
    inside = f"ADEChallengeData2016/images/{name}" if pack is zipped else f"ADEChallengeData2016/annotations/{name}"
    (root / "ADEChallengeData2016.zip").write_bytes(pack({inside: b"x"}))
    with pytest.raises(DatasetError, match="leads out of its folder"):
        prepare("ade20k-150", root, offline=True)
    assert [path.name for path in root.parent.rglob("*") if path.is_file()] == ["ADEChallengeData2016.zip"]


def test_links_are_refused(root):
    root.mkdir()
    member = tarfile.TarInfo("ADEChallengeData2016/images/validation")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(member)
    (root / "ADEChallengeData2016.zip").write_bytes(file.getvalue())
    with pytest.raises(DatasetError, match="no regular file"):
        prepare("ade20k-150", root, offline=True)
    link = zipfile.ZipInfo("ADEChallengeData2016/images/validation")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(root / "ADEChallengeData2016.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(DatasetError, match="no regular file"):
        prepare("ade20k-150", root, offline=True)


@pytest.mark.parametrize("name", ["ade20k-150", "pascal-voc-20", "pascal-context-459"])
def test_a_damaged_archive_is_told(name, root):
    put(root, name)
    for path in root.iterdir():
        content = bytearray(path.read_bytes())
        path.write_bytes(content[: len(content) // 2] if path.suffix != ".zip" else bytes(content[:60]) + content[70:])
    with pytest.raises(DatasetError, match=r"(is damaged or no archive .*:|is it cut\?) remove it, and"):
        prepare(name, root, offline=True)


def test_a_changed_byte_in_a_zip_is_noticed(root):
    put(root, "ade20k-150")
    content = bytearray((root / "ADEChallengeData2016.zip").read_bytes())
    with zipfile.ZipFile(root / "ADEChallengeData2016.zip") as archive:
        info = archive.infolist()[0]
    content[info.header_offset + 30 + len(info.filename) + 40] ^= 255
    (root / "ADEChallengeData2016.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged"):
        prepare("ade20k-150", root, offline=True)
    assert not (root / "ADEChallengeData2016" / info.filename.partition("/")[2]).exists()


def test_a_full_disk_is_told_before(root, monkeypatch):
    put(root, "ade20k-150")
    usage = shutil.disk_usage(root)._replace(free=1000)
    monkeypatch.setattr(archives_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DatasetError, match=r"unpacking ADEChallengeData2016.zip takes 0.00 GB"):
        prepare("ade20k-150", root, offline=True)


# Conversions, to the letter.


def test_ade20k_classes_of_the_full_release():
    colors = np.array([[[110, 162, 9], [119, 162, 0], [120, 76, 0], [0, 4, 255], [255, 255, 255]]], np.uint8)
    # 11 * 256 + 162 = 2978 is wall; 12 * 256 + 76 = 3148 is adding machine, the last.
    assert classes_847(colors).tolist() == [[0, 0, 846, 65535, 65535]]


def test_ade20k_sizes():
    assert small_size(512, 3000) == (512, 3000)
    assert small_size(3000, 400) == (3000, 400)
    assert small_size(1024, 1537) == (512, 768)  # 768.5 to the even number, as Python rounds
    assert small_size(1600, 1000) == (819, 512)
    assert small_size(600, 600) == (512, 512)


def test_ade20k_images_and_labels_shrink(root, monkeypatch):
    archives = small_sets.ade20k_847(size=(1024, 1300))
    root.mkdir()
    (root / "name_and_hash.zip").write_bytes(archives["name_and_hash.zip"])
    prepare("ade20k-847", root, ("val",), offline=True)
    folder = root / "ADE20K_2021_17_01"
    assert not list(folder.rglob("*parts*")) + list(folder.rglob("instance*")) + list(folder.rglob("*.pkl"))
    label = np.asarray(Image.open(folder / "annotations_detectron2/validation/ADE_val_00000001.tif"))
    assert (label.dtype, label.shape) == (np.uint16, (512, 650))
    assert np.array_equal(np.unique(label, axis=0)[0], [0] * 325 + [65535] * 325)
    with Image.open(folder / "images_detectron2/validation/ADE_val_00000001.jpg") as small:
        assert small.size == (650, 512)


def test_shrinking_by_hand():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    # Halved, a new pixel lies in the middle of four old ones; 2.5, 4.5, 10.5 and 12.5 to the even number.
    assert shrink_image(image, (2, 2)).tolist() == [[2, 4], [10, 12]]
    assert shrink_image(np.dstack([image] * 3), (2, 2)).shape == (2, 2, 3)
    assert shrink_labels(image, (2, 3)).tolist() == [[0, 1, 2], [8, 9, 10]]
    assert shrink_image(image, (4, 4)) is image
    assert shrink_image(np.array([[2, 3], [3, 3]], np.uint8), (1, 1)).tolist() == [[3]]  # 2.75


def test_bilinear_is_not_antialiased():
    stripes = np.zeros((9, 9), np.uint8)
    stripes[:, 4] = 255
    # The middle of three columns of nine is column 4 itself; antialiasing would spread it.
    assert shrink_image(stripes, (3, 3))[1].tolist() == [0, 255, 0]
    assert torch.__version__


def test_matlab_files_that_do_not_fit(tmp_path):
    path = tmp_path / "2008_000001.mat"
    path.write_bytes(small_sets.mat(np.array([[1, 459, 0]], np.uint16)))
    assert read_label_map(path).tolist() == [[0, 458, 65535]]
    path.write_bytes(small_sets.mat(np.array([[460]], np.uint16)))
    with pytest.raises(DatasetError, match=r"2008_000001.mat has the value 460"):
        read_label_map(path)
    path.write_bytes(small_sets.mat(np.array([[1.0]])))
    with pytest.raises(DatasetError, match="uint16 is needed"):
        read_label_map(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file nonsense")
    with pytest.raises(DatasetError, match="cannot read LabelMap from"):
        read_label_map(path)


def test_a_category_outside_of_the_59(root):
    put(root, "pascal-context-59")
    content = json.loads((root / "trainval_merged.json").read_bytes())
    content["annos_segmentation"][0]["category_id"] = 7
    (root / "trainval_merged.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"trainval_merged.json has an annotation of category 7"):
        prepare("pascal-context-59", root, offline=True)


def test_a_segmentation_of_another_size_than_its_image(root):
    put(root, "ade20k-847")
    prepare("ade20k-847", root, ("val",), offline=True)
    folder = root / "ADE20K_2021_17_01"
    shutil.rmtree(folder / "annotations_detectron2")
    seg = next(folder.rglob("ADE_val_00000001_seg.png"))
    Image.new("RGB", (5, 5)).save(seg)
    (root / "name_and_hash.zip").unlink()
    with pytest.raises(DatasetError, match=r"ADE_val_00000001_seg.png has 5 x 5 pixels, its image .* has 8 x 6"):
        prepare("ade20k-847", root, ("val",), offline=True)


# The command.


def run(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    return stopped.value.code, capsys.readouterr()


def test_the_command(root, capsys):
    put(root, "pascal-voc-20")
    code, written = run(capsys, "prepare", "pascal-voc-20", "--root", str(root), "--offline")
    assert not code
    told = [*(f"{split}: 2 images, complete" for split in ("train", "val")), str(root / "VOCdevkit/VOC2012")]
    assert written.out.splitlines() == told


def test_the_command_tells_what_is_missing(root, capsys):
    code, written = run(capsys, "prepare", "coco-stuff", "--root", str(root), "--split", "val", "--offline")
    assert code == 2
    assert written.err.startswith("error: coco-stuff in ")
    assert "stuffthingmaps_trainval2017.zip is needed, from http" in written.err
    assert "train2017.zip is needed" not in written.err.replace("trainval2017", "")
