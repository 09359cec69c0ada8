"""GranD is made ready from the archives that a user has downloaded, however many."""

import io
import logging
import tarfile

import pytest
from small_grand import FILES, SIZE, archives
from small_sets import image, tarred, write

from maskadapter.data.opening import open_dataset
from maskadapter.data.prepare import archives as archives_module
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError


@pytest.fixture
def put(root):
    """Put archives into the folder of all data sets; without names, all."""

    def write(*names):
        root.mkdir(exist_ok=True)
        for name, content in archives().items():
            if not names or name in names:
                (root / name).write_bytes(content)

    return write


def names(root):
    return sorted(path.relative_to(root / "grand").as_posix() for path in (root / "grand").rglob("*.[j]*"))


def test_only_images_and_their_annotations_are_unpacked(root, put, caplog):
    caplog.set_level(logging.INFO, "maskadapter")
    put()
    assert prepare("grand", root) == root / "grand"
    photos, labels = [f"images/sa_{number}.jpg" for number in (1, 2, 3)], [f"annotations/{stem}.json" for stem in FILES]
    assert names(root) == sorted([*photos, *labels, "unpacked.json"])
    line = "train: 2 images with an annotation, 1 more have no annotation; 2 % of SA-1B, which the paper took, are 2"
    assert caplog.messages == [line]
    dataset = open_dataset("grand", root, "train")
    assert [sample.name for sample in dataset] == ["sa_1.jpg", "sa_2.jpg"]


def test_a_second_call_reads_no_archive_until_there_is_a_new_one(root, put, monkeypatch):
    opened = []
    unpack = archives_module._unpack_tar
    monkeypatch.setattr(
        archives_module, "_unpack_tar", lambda path, *rest: (opened.append(path.name), unpack(path, *rest))
    )
    put()
    prepare("grand", root)
    prepare("grand", root / "grand")
    assert opened == ["sa_000000.tar", "part_1_1.tar.gz"]
    (root / "part_2_1.tar.gz").write_bytes(tarred({"sa_3.json": b"{}"}, "w:gz"))
    prepare("grand", root)
    assert "annotations/sa_3.json" in names(root)
    (root / "grand/images/sa_1.jpg").unlink()
    prepare("grand", root)
    assert "images/sa_1.jpg" in names(root)


def test_an_interrupted_unpacking_is_resumed(root, put, monkeypatch):
    put()
    write, written = archives_module._write, []

    def stopping(content, path, size):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path)
        write(content, path, size)

    with monkeypatch.context() as patch:
        patch.setattr(archives_module, "_write", stopping)
        with pytest.raises(KeyboardInterrupt):
            prepare("grand", root)
    before = {path: path.stat().st_mtime_ns for path in written}
    prepare("grand", root)
    assert {path: path.stat().st_mtime_ns for path in written} == before
    assert len(open_dataset("grand", root, "train")) == 2


def test_what_was_unpacked_before_is_used_as_it_lies(root, put):
    put()
    write(root / "grand/images/sa_000000/sa_1.jpg", image(1, SIZE))
    write(root / "grand/annotations/part_1_1/sa_2.json", FILES["sa_2"])
    prepare("grand", root)
    assert [sample.name for sample in open_dataset("grand", root, "train")] == ["sa_000000/sa_1.jpg", "sa_2.jpg"]


def test_what_is_missing_is_named(root, put):
    with pytest.raises(DatasetError) as refused:
        prepare("grand", root)
    for part in (
        "sa_*.tar comes after a registration at https://ai.meta",
        "part_*.tar.gz is at https://hugg",
        str(root),
    ):
        assert part in str(refused.value)
    assert not root.exists()
    put("sa_000000.tar")
    with pytest.raises(DatasetError, match=r"train: there are no annotations of the images: part_\*"):
        prepare("grand", root)
    put("part_1_1.tar.gz")
    prepare("grand", root)
    with pytest.raises(DatasetError, match='grand has no split "val"; there are train'):
        prepare("grand", root, ("val",))


def test_images_are_named_where_only_annotations_are_there(root, put):
    put("part_1_1.tar.gz")
    with pytest.raises(DatasetError, match=r"train: there are no images: sa_\*\.tar comes .*, put as many"):
        prepare("grand", root)


def test_links_and_damaged_archives_are_refused(root, put):
    put("part_1_1.tar.gz")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("sa_1.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (root / "sa_000000.tar").write_bytes(file.getvalue())
    with pytest.raises(DatasetError, match=r"holds sa_1\.jpg, which is not a regular file"):
        prepare("grand", root)
    (root / "sa_000000.tar").write_bytes(archives()["sa_000000.tar"][:3000])
    with pytest.raises(DatasetError, match=r"sa_000000\.tar is damaged or not an archive .*download it again"):
        prepare("grand", root)


@pytest.mark.parametrize("damage", ["cut off", "garbled"])
def test_a_damaged_header_within_an_archive_is_not_its_end(root, put, damage):
    put("part_1_1.tar.gz")
    whole = archives()["sa_000000.tar"]
    second = whole.index(b"sa_000000/sa_1.json")
    broken = whole[: second + 300] if damage == "cut off" else whole[:second] + b"x" * 512 + whole[second + 512 :]
    (root / "sa_000000.tar").write_bytes(broken)
    with pytest.raises(DatasetError, match=r"sa_000000\.tar is damaged or not an archive .*download it again"):
        prepare("grand", root)
    assert not (root / "grand/unpacked.json").exists()


def test_members_that_lead_outside_stay_inside(root, put):
    put("part_1_1.tar.gz")
    photos = {"../../sa_1.jpg": b"x", "/abs/sa_2.jpg": b"x", "sa_000000/..\\sa_3.jpg": b"x"}
    (root / "sa_000000.tar").write_bytes(tarred(photos))
    prepare("grand", root)
    assert sorted(path.name for path in (root / "grand/images").iterdir()) == ["sa_1.jpg", "sa_2.jpg"]
    assert {path.name for path in root.iterdir()} == {"grand", "sa_000000.tar", "part_1_1.tar.gz"}
