"""Images are found in every kind of source, each once, and can be read."""

import hashlib
import io
import os
import tarfile
from contextlib import closing

import pytest
from many import contents

from maskadapter.errors import MaskAdapterError

arrow = pytest.importorskip("pyarrow")
fsspec = pytest.importorskip("fsspec")

import pyarrow.parquet as pq  # noqa: E402

from maskadapter.pipelines.bulk.image_bytes import ImageBytes  # noqa: E402
from maskadapter.pipelines.bulk.sources import planned_images  # noqa: E402


def found(sources, output, column=None):
    return list(planned_images(sources, output, column))


def names(images):
    return [image.name for image in images]


def read(images):
    with closing(ImageBytes()) as source:
        return [source.read(image) for image in images]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def files(photos):
    """The bytes of the photos, by name, in the order of a plan."""
    return dict(sorted(contents(photos).items()))


def test_a_folder_in_order_without_hidden_files_and_the_output(photos, files):
    (photos / ".hidden").mkdir()
    (photos / ".hidden" / "x.png").write_bytes(files["c.png"])
    (photos / "notes.txt").write_text("c.png")
    (photos / "parts").mkdir()
    (photos / "parts" / "y.png").write_bytes(files["c.png"])
    images = found(photos, photos / "parts")
    assert names(images) == list(files)
    assert [image.path for image in images] == [str(photos / name) for name in files]
    assert read(images) == list(files.values())


def test_a_link_to_a_folder_is_left_out_and_one_to_a_file_is_not(photos, output):
    os.symlink(photos, photos / "loop")
    os.symlink(photos / "c.png", photos / "link.png")
    assert [name for name in names(found(photos, output)) if "l" in name] == ["link.png"]


def test_a_pattern_and_a_file_and_what_comes_twice(photos, output, caplog):
    images = found([str(photos / "**/*.png"), photos / "b.jpg", photos / "c.png"], output)
    assert names(images) == ["a/x.png", "bad.png", "c.png", "d.png", "e.png", "b.jpg"]
    assert "1 images were found twice" in caplog.text


def test_a_list_is_relative_to_its_folder(photos, output, files):
    (photos / "list.txt").write_text(f"# some\na/x.png\n\n./c.png\n{photos / 'd.png'}\nfile://{photos}/e.png\n")
    images = found(photos / "list.txt", output)
    assert read(images) == [files[name] for name in ("a/x.png", "c.png", "d.png", "e.png")]
    assert names(images)[:2] == ["a/x.png", "c.png"]
    assert names(images)[3] == f"{photos}/e.png".lstrip("/")


def test_names_stay_inside_a_folder(photos, output):
    (photos / "list.txt").write_text("../../etc/x.png\nC:\\y\\..\\z.png\n")
    assert names(found(photos / "list.txt", output)) == ["etc/x.png", "y/z.png"]


def test_addresses(files, output):
    memory = fsspec.filesystem("memory")
    for name, content in files.items():
        memory.pipe(f"/bucket/photos/{name}", content)
    try:
        images = found("memory://bucket/photos", output)
        assert names(images) == list(files)
        assert images[0].path == "memory:///bucket/photos/a/x.png"
        assert read(images) == list(files.values())
        assert names(found("memory://bucket/photos/*.jpg", output)) == ["b.jpg"]
    finally:
        memory.rm("/bucket", recursive=True)


def test_a_tar_archive_by_itself_and_in_a_folder(photos, files, tmp_path, output):
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "0001.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in {**files, "b.json": b"{}", ".hidden.png": b"x"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    images = found(path, output)
    assert names(images) == [f"0001/{name}" for name in files]
    assert images[0].path == f"{path}#a/x.png"
    assert read(images) == list(files.values())
    assert read(images[::-1]) == list(files.values())[::-1]
    assert found(tmp_path / "set", output) == images


def table(files):
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    rows = [{"bytes": content, "path": name.replace("/", "-")} for name, content in files.items()]
    return arrow.table({"label": list(range(len(files))), "image": arrow.array(rows, kind)})


def test_a_hugging_face_data_set_of_parquet_files(files, tmp_path, output):
    (tmp_path / "hf" / "data").mkdir(parents=True)
    path = tmp_path / "hf" / "data" / "train-00000-of-00001.parquet"
    pq.write_table(table(files), path, row_group_size=2)
    images = found(tmp_path / "hf", output)
    assert images[0].path == f"{path}#0"
    assert names(images)[0] == "data/train-00000-of-00001/a-x.png"
    assert read(images) == list(files.values())
    assert read([images[4], images[1], images[3]]) == [list(files.values())[place] for place in (4, 1, 3)]


def test_an_arrow_table_as_datasets_saves_it(files, tmp_path, output):
    path = tmp_path / "data-00000-of-00001.arrow"
    with arrow.OSFile(str(path), "wb") as file, arrow.ipc.new_stream(file, table(files).schema) as writer:
        writer.write_table(table(files), max_chunksize=2)
    images = found(path, output)
    assert read(images) == list(files.values())
    assert read(images[3:]) == list(files.values())[3:]


def test_a_table_of_bytes_without_names(files, tmp_path, output):
    path = tmp_path / "t.parquet"
    pq.write_table(arrow.table({"jpg": list(files.values()), "thumbnail": [b"x"] * len(files)}), path)
    with pytest.raises(MaskAdapterError, match=r"several columns that may be of images \(jpg, thumbnail\).*--column"):
        found(path, output)
    images = found(path, output, "jpg")
    assert names(images)[1] == "t/00000001"
    assert read(images) == list(files.values())


def test_a_table_of_paths_counts_only_where_it_is_named(photos, files, output):
    path = photos / "metadata.parquet"
    pq.write_table(arrow.table({"file_name": list(files), "caption": [""] * len(files)}), path)
    assert read(found(path, output)) == list(files.values())
    assert len(found(photos, output)) == len(files)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "gone", "no such file or folder"),
        (lambda folder: "gopher://x/y", "cannot open gopher://x/y"),
        (lambda folder: f"{folder}/*.bmp", "no images in"),
        (lambda folder: write(folder / "x.tar.gz", b"x"), "is compressed: unpack it"),
        (lambda folder: write(folder / "x.tar", b"x" * 1000), "as a tar archive"),
        (lambda folder: write(folder / "x.parquet", b"x" * 1000), "as a table"),
        (lambda folder: write(folder / "x.arrow", b"x" * 1000), "as a table"),
        (lambda folder: write(folder / "x.txt", b"\xff\n"), "line 1 of .*: it is not UTF-8"),
        (lambda folder: write(folder / "x.txt", b"zip://a.png::https://x/y.zip\n"), "without ::"),
        (lambda folder: write(folder / "x.txt", b"# none\n"), "no images in"),
    ],
)
def test_sources_that_cannot_be_used(photos, output, make, message):
    with pytest.raises(MaskAdapterError, match=message):
        found(make(photos), output)


def write(path, content):
    path.write_bytes(content)
    return path


def test_images_that_cannot_be_read(photos, files, output, tmp_path):
    (photos / "list.txt").write_text("gone.png\na\n")
    for image in found(photos / "list.txt", output):
        with pytest.raises(MaskAdapterError, match=r"no such file: .*gone\.png|cannot read .*/a: Is a directory"):
            read([image])
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(photos / "c.png", "c.png")
    (image,) = found(path, output)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(MaskAdapterError, match="it was cut since it was planned"):
        read([image])


def test_the_same_plan_has_the_same_list(photos, output):
    marks = [hashlib.sha256(repr(found(photos, output)).encode()).hexdigest() for _ in range(2)]
    assert marks[0] == marks[1]
