"""Finding image files, and the names of their results."""

import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from many import make_images
from PIL import Image
from png_bytes import png_that_claims

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import open_image
from maskadapter.io.image_files import SUFFIXES, ImageFile, find_image_files
from maskadapter.io.images import read_image
from maskadapter.io.open_image import FORMATS, UNREAD


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def stems(*arguments, **options):
    return [image.stem for image in find_image_files(*arguments, **options)]


def test_a_file_counts_whatever_its_suffix():
    touch("a/photo", "cat.JPG")
    assert find_image_files("a/photo") == [ImageFile(Path("a/photo"), "photo")]
    assert stems(["cat.JPG", Path("a/photo")]) == ["cat", "photo"]


def test_a_folder_is_searched_with_its_subfolders_in_order():
    touch("p/b.jpg", "p/a/x.PNG", "p/b/x.tif", "p/notes.txt", "p/c.jpg.txt")
    touch("p/.hidden.jpg", "p/.thumbs/b.jpg")
    assert find_image_files("p") == [
        ImageFile(Path("p/a/x.PNG"), "a/x"),
        ImageFile(Path("p/b/x.tif"), "b/x"),
        ImageFile(Path("p/b.jpg"), "b"),
    ]
    assert stems(".") == ["p/a/x", "p/b/x", "p/b"]


def test_a_hidden_folder_that_is_named_counts():
    touch(".thumbs/b.jpg")
    assert stems(".thumbs") == stems(".thumbs/*.jpg") == ["b"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("p/*.jpg", ["b"]),
        ("p/**/*.jpg", ["a/c/y", "a/x", "b"]),
        ("p/**", ["a/c/y", "a/x", "b", "d"]),
        ("p/*/x.*", ["a/x"]),
        ("p/[ab].jpg", ["b"]),
        ("**/?.png", ["p/d"]),
        ("p/*", ["b", "d"]),
    ],
)
def test_patterns(pattern, found):
    touch("p/b.jpg", "p/d.png", "p/a/x.jpg", "p/a/c/y.jpg", "p/a/notes.txt", "p/.h/z.jpg")
    assert stems(pattern) == stems(str(Path(pattern).absolute())) == found


def test_a_file_of_that_name_wins_over_the_pattern():
    touch("cat[1].jpg", "cat1.jpg")
    assert find_image_files("cat[1].jpg") == [ImageFile(Path("cat[1].jpg"), "cat[1]")]
    touch("folder*/x.jpg")
    assert stems("folder*") == ["x"]


def test_the_suffix_stays_where_names_differ_in_nothing_else():
    touch("p/x.jpg", "p/x.png", "p/y.jpg", "p/Z.jpg", "p/z.png", "q/x.tif")
    assert sorted(stems("p")) == ["Z.jpg", "x.jpg", "x.png", "y", "z.png"]
    assert stems(["p/x.jpg", "q"]) == ["x.jpg", "x.tif"]


def test_a_image_given_twice_is_done_once():
    touch("p/x.jpg")
    assert stems(["p/x.jpg", "p", "p/*.jpg", str(Path("p/x.jpg").absolute())]) == ["x"]


def test_two_results_of_one_name_are_refused():
    touch("p/x.jpg", "q/x.jpg")
    with pytest.raises(MaskAdapterError, match=r"results of p/x\.jpg and q/x\.jpg would have the same name"):
        find_image_files(["p", "q"])
    assert stems(".") == ["p/x", "q/x"]


def test_results_are_not_read_as_images():
    touch("p/x.jpg", "p/out/x-overlay.png", "p/out/more/y.png", "p/outside/z.png")
    assert stems("p", output="p/out") == stems("p/**", output=Path("p/out")) == ["outside/z", "x"]
    assert "out/x-overlay" in stems("p")
    assert stems("p/out/x-overlay.png", output="p/out") == ["x-overlay"]  # named by hand
    assert stems("p", output=".") == stems("p")
    os.symlink("p/out", "link")
    assert stems("p", output="link") == ["outside/z", "x"]


@pytest.mark.parametrize("source", ["p", "p/*.jpg"])
def test_results_among_the_images_are_refused(source):
    touch("p/x.jpg")
    with pytest.raises(MaskAdapterError, match=r"lie among the images in p, .*choose another output folder"):
        find_image_files(source, "p/../p")


def test_links_that_lead_back_end():
    touch("p/a/x.jpg")
    for number in range(3):
        os.symlink("..", f"p/a/back{number}")
    os.symlink("x.jpg", "p/a/y.jpg")
    assert stems("p") == stems("p/**/*.jpg") == ["a/x", "a/y"]
    os.symlink("p", "linked")
    assert stems("linked") == ["a/x", "a/y"]


def test_what_is_no_file_is_left_out_and_a_dead_link_is_kept_to_be_reported():
    touch("p/x.jpg")
    os.mkfifo("p/pipe.jpg")
    os.mkdir("p/folder.jpg")
    os.symlink("gone.jpg", "p/dead.jpg")
    assert stems("p") == stems("p/*") == ["dead", "x"]


def test_names_that_are_no_text():
    with open(b"cat\xff.jpg", "wb"):
        pass
    (image,) = find_image_files(".")
    assert image.source.exists()
    assert image.stem == "cat\ufffd"


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ("gone.jpg", "no such file or folder: gone.jpg"),
        ("gone/", "no such file or folder: gone"),
        ("p/x.txt/y.jpg", "cannot look for images in p/x.txt/y.jpg: Not a directory"),
        ("p", r"no images in p: files that end in \.jpg, .*\.j2k are looked for"),
        ("p/*.jpg", r"no images in p/\*\.jpg: files that end in \.jpg"),
        ("gone/*.jpg", r"no images in gone/\*\.jpg"),
        ("", "an empty name is not an image"),
        ([], "no images: name a file"),
        ("a\0b.jpg", "cannot look for images in"),
        ("x" * 300 + ".jpg", "cannot look for images in x+.jpg: File name too long"),
    ],
)
def test_mistakes_are_one_line(sources, message):
    touch("p/x.txt")
    with pytest.raises(MaskAdapterError, match=message) as error:
        find_image_files(sources)
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_read(monkeypatch):
    touch("p/a/x.jpg", "p/y.jpg")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(MaskAdapterError, match="cannot read folder p/a: Permission denied"):
        find_image_files("p")


def test_the_suffixes_are_those_of_formats_that_are_read():
    Image.init()
    known = Image.registered_extensions()
    assert {known.get(suffix) for suffix in SUFFIXES} <= {*FORMATS, None}
    assert {"JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "MPO"} <= {known.get(s) for s in SUFFIXES}


@pytest.fixture
def pipe(monkeypatch):
    def pipe(data, terminal=False):
        source = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: terminal)
        monkeypatch.setattr(sys, "stdin", source)

    return pipe


def encoded(format, **options):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue(), pixels


def test_standard_input(pipe):
    data, pixels = encoded("PNG")
    pipe(data)
    touch("x.jpg")
    first, second = find_image_files(["-", "x.jpg", "-"])
    assert (first.stem, str(first), second.stem) == ("stdin", "standard input", "x")
    assert (read_image(first.source) == pixels).all()


def test_standard_input_is_upright(pipe):
    exif = Image.Exif()
    exif[0x0112] = 6
    data, _ = encoded("JPEG", exif=exif)
    pipe(data)
    (image,) = find_image_files("-")
    assert read_image(image.source).shape == (60, 40, 3)


def test_standard_input_without_an_image(pipe, monkeypatch):
    data, _ = encoded("PNG")
    for content, message in [
        (b"", "standard input is empty"),
        (b"words", "not an image that can be read: standard input"),
        (data[:200], "damaged image standard input"),
        (data[:60] + b"\0" * 40 + data[100:], "standard input"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image that can be read"),
        (png_that_claims(60_000, 60_000), "standard input has 60000 x 60000 pixels, more than max_pixels"),
    ]:
        pipe(content)
        with pytest.raises(ImageError, match=message):
            find_image_files("-")
    pipe(data, terminal=True)
    with pytest.raises(ImageError, match="- means an image on standard input"):
        find_image_files("-")
    pipe(data)
    monkeypatch.setattr(open_image, "MAX_BYTES", len(data) - 1)
    with pytest.raises(ImageError, match=f"standard input has more than {len(data) - 1:,} bytes"):
        find_image_files("-")


@pytest.fixture
def named_pipe(tmp_path):
    """Make named pipes, each of which gives its content once."""
    writers = []

    def named_pipe(name, content):
        os.mkfifo(tmp_path / name)
        writers.append(threading.Thread(target=(tmp_path / name).write_bytes, args=(content,), daemon=True))
        writers[-1].start()
        return name

    yield named_pipe
    for writer in writers:
        writer.join()


def test_a_pipe_given_by_name_is_read_once(named_pipe):
    (data, pixels), (other, others) = encoded("PNG"), encoded("TIFF")
    found = find_image_files([named_pipe("cat", data), "cat", Path(named_pipe("dog.jpg", other))])
    assert [(image.stem, str(image)) for image in found] == [("cat", "pipe cat"), ("dog", "pipe dog")]
    for image, expected in zip(found, (pixels, others), strict=True):
        for _ in range(2):
            np.testing.assert_array_equal(read_image(image.source), expected)


def test_process_substitution():
    data, pixels = encoded("PNG")
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    try:
        (image,) = find_image_files(f"/dev/fd/{reader}")
    finally:
        os.close(reader)
    np.testing.assert_array_equal(read_image(image.source), pixels)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "not an image"), (b"words", "not an image"), (encoded("PNG")[0][:90], "damaged")]
)
def test_a_pipe_without_an_image(named_pipe, content, message):
    with pytest.raises(ImageError, match=f"{message}.*cat"):
        find_image_files(named_pipe("cat", content))


def test_a_device_without_an_end(monkeypatch):
    monkeypatch.setattr(open_image, "MAX_BYTES", 1000)
    with pytest.raises(ImageError, match="/dev/zero is larger than 1,000 bytes"):
        find_image_files("/dev/zero")


def test_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    touch("p/x.jpg", "p/~/y.jpg")
    assert stems("~/p/x.jpg") == stems("~/p/*.jpg") == ["x"]
    assert stems(Path("~/p")) == stems("p") == ["x", "~/y"]
    assert stems("p/~/y.jpg") == ["y"]


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "s3://photos/*.jpg", Path("http://example.org/p")])
def test_addresses_are_refused(address):
    with pytest.raises(ImageError, match="is an address; a path on this computer is needed"):
        find_image_files(address)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["IMG_1.HEIC"], r"1 file was left out: IMG_1.HEIC (HEIC is not read: convert to JPEG or PNG first)"),
        (["a.nef", "b/c.dng", "n.txt"], "2 files were left out: a.nef, c.dng (DNG, NEF are not read: convert to"),
        ([f"{i}.heif" for i in range(9)], "9 files were left out: 0.heif, 1.heif, 2.heif ... (HEIF is not read"),
    ],
)
@pytest.mark.parametrize("source", ["p", "p/**"])
def test_image_files_that_are_not_read_are_named(caplog, names, line, source):
    touch("p/x.jpg", "p/out/y.exr", "p/.z.heic", *(f"p/{name}" for name in names))
    assert stems(source, output="p/out") == ["x"]
    (message,) = caplog.messages
    assert message.startswith(f"{source}: {line}")
    os.remove("p/x.jpg")
    with pytest.raises(ImageError) as refused:
        find_image_files(source, output="p/out")
    assert str(refused.value).startswith(f"no images in {source} that are read: {line}")


def test_other_files_beside_images_are_not_named(caplog):
    touch("p/x.jpg", "p/notes.txt", "p/x.json", "p/README", "p/movie.mp4")
    assert stems("p") == ["x"]
    assert caplog.messages == []


def test_formats_are_read_or_not():
    Image.init()
    assert not set(SUFFIXES) & set(UNREAD)
    assert not {Image.registered_extensions().get(suffix) for suffix in UNREAD} & set(FORMATS)


@pytest.mark.parametrize("source", [b"x.jpg", 3, None, io.BytesIO(b"x")])
def test_other_values_are_no_source(source):
    with pytest.raises(ImageError, match=f"not in {type(source).__name__}"):
        find_image_files([source])


def test_three_of_one_name(tmp_path):
    make_images(tmp_path, ["cat.jpg", "cat.png", "cat.jpg.png", "dog.jpg"])
    assert sorted(image.stem for image in find_image_files(tmp_path)) == ["cat.jpg", "cat.jpg.png", "cat.png", "dog"]


FIXED = settings(derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
NAMES = st.lists(
    st.sampled_from(["a", "A", "b", "a.jpg", "a.png"]).flatmap(
        lambda stem: st.sampled_from([".jpg", ".JPG", ".png", ".tif"]).map(lambda suffix: stem + suffix)
    ),
    min_size=1,
    unique=True,
)


@settings(
    derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None
)
@given(NAMES)
def test_no_two_images_share_a_stem(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("photos")
    for name in names:
        (folder / name).touch()
    found = find_image_files(folder)
    assert sorted(image.source.name for image in found) == sorted(path.name for path in folder.iterdir())
    if len({name.casefold() for name in names}) == len(names):  # else two files differ in case alone
        assert len({image.stem.casefold() for image in found}) == len(found)
    for image in found:
        assert image.source.name.startswith(image.stem)
