"""Reading images: one shape and type, or one line that names the file."""

import io
import os
import threading
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from png_bytes import png_that_claims

from maskadapter.errors import ImageError
from maskadapter.io import images
from maskadapter.io.images import read_image

# 2 rows x 3 columns, every pixel different, so that a turn or a swapped channel shows.
PIXELS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 255, 255], [255, 0, 255]]], dtype=np.uint8
)


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "bmp", "gif"])
def test_lossless_files(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"photo.{suffix}", Image.fromarray(PIXELS), **options)
    for source in (path, str(path)):
        image = read_image(source)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, PIXELS)


def test_jpeg(tmp_path):
    path = save(tmp_path / "photo.jpg", Image.new("RGB", (20, 10), (200, 30, 60)), quality=95)
    image = read_image(path)
    assert image.shape == (10, 20, 3)
    assert np.abs(image.astype(int) - (200, 30, 60)).max() < 5


def test_values_in_memory():
    torch = pytest.importorskip("torch")
    for source in (Image.fromarray(PIXELS), PIXELS, torch.from_numpy(PIXELS).permute(2, 0, 1)):
        np.testing.assert_array_equal(read_image(source), PIXELS)
    gray = PIXELS[..., 0]
    np.testing.assert_array_equal(read_image(gray), np.stack([gray] * 3, axis=2))


def test_transparent_pixels_lie_on_white():
    alpha = np.array([[255, 0, 255], [255, 255, 255]], np.uint8)
    expected = PIXELS.copy()
    expected[0, 1] = 255
    rgba = np.dstack([PIXELS, alpha])
    np.testing.assert_array_equal(read_image(rgba), expected)
    np.testing.assert_array_equal(read_image(Image.fromarray(rgba)), expected)


def test_palette_with_and_without_transparency(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 1], [1, 0, 1]], np.uint8), mode=None).convert("L")
    palette = image.convert("P")
    palette.putdata([0, 1, 1, 1, 0, 1])
    palette.putpalette([10, 20, 30, 200, 100, 50])
    np.testing.assert_array_equal(read_image(palette)[0, :2], [[10, 20, 30], [200, 100, 50]])
    path = save(tmp_path / "p.png", palette, transparency=0)
    np.testing.assert_array_equal(read_image(path)[0, :2], [[255, 255, 255], [200, 100, 50]])


def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path):
    wide = np.array([[0, 257, 32896], [65535, 128, 129]], np.uint16)
    path = save(tmp_path / "wide.png", Image.fromarray(wide))
    np.testing.assert_array_equal(read_image(path)[..., 1], [[0, 1, 128], [255, 0, 1]])


def test_cmyk_jpeg(tmp_path):
    path = save(tmp_path / "print.jpg", Image.new("RGB", (16, 16), (255, 255, 0)).convert("CMYK"), quality=95)
    assert np.abs(read_image(path)[8, 8].astype(int) - (255, 255, 0)).max() < 8


# Source: EXIF 2.3, Orientation: which side of the scene row 0 and column 0 of the stored image show.
STORED = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, 1),
    7: PIXELS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(PIXELS, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "turned.png", Image.fromarray(np.ascontiguousarray(STORED[orientation])), exif=exif)
    np.testing.assert_array_equal(read_image(path), PIXELS)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(read_image(opened), PIXELS)


def opened(path):
    image = Image.open(path)
    image.load()
    return image


def phone_photo(tmp_path, orientation=6, suffix="png", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    return save(tmp_path / f"phone.{suffix}", image, exif=exif, **options)


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("webp", {"lossless": True})])
@pytest.mark.parametrize(
    "upright",
    [
        Image.open,
        opened,
        lambda path: ImageOps.exif_transpose(Image.open(path)),
        lambda path: ImageOps.exif_transpose(Image.open(path)).convert("RGBA"),
        lambda path: ImageOps.exif_transpose(Image.open(path).convert("RGB")),
        lambda path: Image.open(path).transpose(Image.Transpose.ROTATE_270),
        lambda path: Image.open(path).rotate(-90, expand=True),
        lambda path: Image.open(path).convert("RGB").rotate(270, expand=True).copy(),
    ],
)
def test_a_pil_image_is_turned_once(tmp_path, suffix, options, upright):
    np.testing.assert_array_equal(read_image(upright(phone_photo(tmp_path, suffix=suffix, **options))), PIXELS)


def test_a_tiff_is_turned_once_although_pillow_turns_it_too(tmp_path):
    path = phone_photo(tmp_path, suffix="tiff")
    for upright in (Image.open, opened, lambda path: ImageOps.exif_transpose(Image.open(path))):
        np.testing.assert_array_equal(read_image(upright(path)), PIXELS)


def test_a_pil_image_turned_in_place(tmp_path):
    image = Image.open(phone_photo(tmp_path))
    ImageOps.exif_transpose(image, in_place=True)
    np.testing.assert_array_equal(read_image(image), PIXELS)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("copy", [Image.Image.copy, lambda i: i.convert("RGB"), lambda i: i.crop((0, 0, *i.size))])
def test_copies_are_taken_as_they_are_and_the_log_says_so(tmp_path, caplog, orientation, copy):
    image = copy(Image.open(phone_photo(tmp_path, orientation)))
    np.testing.assert_array_equal(read_image(image), STORED[orientation])
    (message,) = caplog.messages
    assert message.startswith(f"the given PIL image has EXIF orientation {orientation} and is taken as it is: if it")
    caplog.clear()
    read_image(copy(Image.open(phone_photo(tmp_path, 1))))
    read_image(copy(ImageOps.exif_transpose(Image.open(phone_photo(tmp_path, orientation)))))
    assert caplog.messages == []


def test_results_share_no_memory_with_what_was_given(tmp_path):
    torch = pytest.importorskip("torch")
    np.save(tmp_path / "frames.npy", np.stack([PIXELS] * 2))
    array, channels_last = PIXELS.copy(), torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)
    buffer = bytearray(PIXELS.tobytes())
    for source, clear in [
        (array, lambda: array.fill(0)),
        (array[..., 0], lambda: array.fill(0)),
        (channels_last, lambda: channels_last.zero_()),
        ((frames := np.load(tmp_path / "frames.npy", mmap_mode="r+"))[0], lambda: frames.fill(0)),
        (Image.frombuffer("RGB", (3, 2), buffer, "raw", "RGB", 0, 1), lambda: buffer.__setitem__(slice(18), bytes(18))),
        ((pil := Image.fromarray(PIXELS)), lambda: pil.paste((0, 0, 0), (0, 0, 3, 2))),
    ]:
        array[:] = PIXELS
        image = read_image(source)
        before = image.copy()
        clear()
        np.testing.assert_array_equal(image, before)
        assert type(image) is np.ndarray
        assert image.max() == 255


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_open_files_and_bytes_in_memory(tmp_path, suffix):
    path = phone_photo(tmp_path, suffix=suffix)
    expected, content = read_image(path), path.read_bytes()
    with open(path, "rb") as file, zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "photo")
        for given in (file, io.BytesIO(content), io.BufferedReader(io.BytesIO(content)), archive.open("photo")):
            np.testing.assert_array_equal(read_image(given), expected)
            given.seek(5)
            np.testing.assert_array_equal(read_image(given), expected)  # also after it was read or written
            assert given.tell() == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_to_its_end(tmp_path):
    content = save(tmp_path / "photo.png", Image.fromarray(PIXELS)).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    for read in (read_image, lambda path: read_image(path.open("rb", buffering=0))):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True)
        writer.start()
        np.testing.assert_array_equal(read(tmp_path / "pipe"), PIXELS)
        writer.join()


def closed(file):
    file.close()
    return file


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: io.BytesIO(), "the given BytesIO is empty: the bytes of an image are needed"),
        (lambda path: io.BytesIO(b"words"), "not an image that can be read: the given BytesIO"),
        (lambda path: io.BytesIO(path.read_bytes()[:60]), "damaged image the given BytesIO"),
        (lambda path: io.StringIO("words"), 'the given StringIO is not a binary file: open it with mode "rb"'),
        (lambda path: path.open(encoding="utf-8"), r'photo\.png is not a binary file: open it with mode "rb"'),
        (lambda path: closed(io.BytesIO(path.read_bytes())), "cannot read the given BytesIO: I/O operation on closed"),
        (lambda path: closed(path.open("rb")), r"cannot read .*photo\.png: seek of closed|cannot read .*closed"),
        (lambda path: closed(Image.open(path)), r"the given PIL image of .*photo\.png is closed: use it before"),
        (lambda path: closed(opened(path)), "is closed: use it before it is closed, or give its path"),
        (lambda path: closed(Image.new("RGB", (3, 2))), "the given PIL image is closed"),
        (lambda path: Image.new("RGB", (0, 5)), "the given PIL image has 0 x 5 pixels: it is empty"),
        (lambda path: "https://example.org/a.jpg", "https://example.org/a.jpg is an address; a path"),
        (lambda path: "data:image/png;base64," + "AAAA" * 9999, "is an address; a path on this computer is needed"),
        (lambda path: path.read_bytes(), "open binary file, PIL image, .* not bytes"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, make, message):
    path = save(tmp_path / "photo.png", Image.effect_noise((9, 9), 60).convert("RGB"))
    with pytest.raises(ImageError, match=message) as refused:
        read_image(make(path))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_pil_image_closed_by_its_block(tmp_path):
    path = save(tmp_path / "photo.png", Image.fromarray(PIXELS))
    with Image.open(path) as lazy:
        pass
    with pytest.raises(ImageError, match=r"PIL image of .*photo\.png is closed"):
        read_image(lazy)
    with Image.open(path) as loaded:
        loaded.load()
    np.testing.assert_array_equal(read_image(loaded), PIXELS)


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "photo.png", Image.fromarray(PIXELS))
    np.testing.assert_array_equal(read_image("~/photo.png"), PIXELS)
    with pytest.raises(ImageError, match=f"no such file: {tmp_path}/gone"):
        read_image("~/gone.png")


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
@pytest.mark.parametrize("name", ["IMG_1.HEIC", "photo.jpg"])
def test_heic_is_found_by_its_content(tmp_path, brand, name):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(99))
    message = f"not an image that can be read: .*{name} .HEIC is not read: convert to JPEG or PNG first"
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / name)
    with pytest.raises(ImageError, match=r"BytesIO \(HEIC is not read"):
        read_image(io.BytesIO((tmp_path / name).read_bytes()))


@pytest.mark.parametrize("name", ["a.CR2", "a.svg", "a.psd"])
def test_formats_that_are_not_read_are_found_by_their_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"<svg/>")
    with pytest.raises(ImageError, match=f"{name[2:].upper()} is not read: convert to JPEG or PNG first"):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_every_mode_of_8_bits(mode):
    gray = np.full((4, 6), 255, np.uint8)
    through = {"La": "LA", "RGBa": "RGBA", "HSV": "RGB", "YCbCr": "RGB", "CMYK": "RGB"}.get(mode, "L")
    image = Image.fromarray(gray).convert(through).convert(mode)
    assert image.mode == mode
    assert (read_image(image) == 255).all()


def test_the_first_of_several_frames(tmp_path):
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1])]
    for suffix, options in {"tif": {}, "gif": {}, "png": {}, "webp": {"lossless": True}}.items():
        path = tmp_path / f"frames.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_image(path), PIXELS)


@pytest.mark.parametrize("block", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b""])
def test_a_broken_exif_block_is_ignored(tmp_path, block):
    path = save(tmp_path / "photo.png", Image.fromarray(PIXELS), exif=block)
    np.testing.assert_array_equal(read_image(path), PIXELS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK"])
def test_strips_of_a_large_image_give_the_same_pixels(mode, monkeypatch):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8))
    image = (photo.convert("L") if mode == "LA" else photo).convert(mode)
    whole = read_image(image)
    monkeypatch.setattr(images, "_CONVERTED_AT_A_TIME", 200)
    np.testing.assert_array_equal(read_image(image), whole)
    assert whole.std() > 20


def test_one_pixel():
    assert read_image(Image.new("1", (1, 1), 1)).tolist() == [[[255, 255, 255]]]


def jpeg_bytes():
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 60).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image"),
        (b"just words", "not an image"),
        (jpeg_bytes()[:700], "damaged image .*truncated"),
        (jpeg_bytes()[:30], "photo"),
        (png_that_claims(60_000, 60_000), "60000 x 60000 pixels, more than max_pixels = 200,000,000"),
        (png_that_claims(300, 300), "damaged image"),
    ],
)
def test_unreadable_files_give_one_line_with_the_path(tmp_path, content, message):
    path = tmp_path / "photo.img"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as refused:
        read_image(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match=r"no such file: .*gone\.png"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match=r"cannot read .*directory"):
        read_image(tmp_path)


def test_the_limit_is_the_callers_and_pillow_keeps_its_own(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    path = save(tmp_path / "photo.png", Image.fromarray(PIXELS))
    assert read_image(path, max_pixels=6).shape == (2, 3, 3)
    with pytest.raises(ImageError, match="3 x 2 pixels, more than max_pixels = 5"):
        read_image(path, max_pixels=5)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (PIXELS.astype(np.float32), "float32"),
        (PIXELS.astype(np.uint16), "uint16"),
        (PIXELS[None], r"shape \(1, 2, 3, 3\)"),
        (PIXELS[..., :2], r"shape \(2, 3, 2\)"),
        (PIXELS[:0], r"shape \(0, 3, 3\)"),
        (Image.fromarray(PIXELS[..., 0].astype(np.float32)), "floating-point"),
        (12, "not int"),
        (None, "not NoneType"),
    ],
)
def test_values_that_are_no_image(source, message):
    with pytest.raises(ImageError, match=message):
        read_image(source)


def test_a_tensor_of_another_layout_is_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ImageError, match=r"\(3, H, W\) uint8"):
        read_image(torch.zeros(4, 5, 3, dtype=torch.uint8))


@pytest.mark.parametrize("form", [lambda tensor: tensor.to_sparse(), lambda tensor: tensor.to("meta")])
def test_a_tensor_without_an_array_is_one_line(form):
    torch = pytest.importorskip("torch")
    with pytest.raises(ImageError, match="the tensor cannot be read"):
        read_image(form(torch.ones(3, 4, 5, dtype=torch.uint8)))


def test_a_cut_off_pil_image_gives_one_line(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)).save(tmp_path / "p.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "p.jpg").read_bytes()[:3000])
    with Image.open(tmp_path / "cut.jpg") as image, pytest.raises(ImageError, match="damaged"):
        read_image(image)


def test_formats_that_start_other_programs_are_no_images(tmp_path):
    (tmp_path / "p.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(ImageError, match="not an image"):
        read_image(tmp_path / "p.jpg")


def encoded(kind, **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


FIXED = settings(derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)  # place, new value
FILES = [encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")]


@pytest.mark.filterwarnings("ignore")  # Pillow warns about what it skips
@settings(
    derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(st.sampled_from(FILES), CHANGES, st.integers(0))
def test_damaged_bytes_are_an_image_or_one_line(tmp_path, content, changes, length):
    damaged = bytearray(content)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    path = tmp_path / "photo.jpg"
    path.write_bytes(damaged[: length % (len(damaged) + 1)] if length else damaged)
    try:
        image = read_image(path, max_pixels=1_000_000)
    except ImageError as error:
        refused = str(error)
    else:
        assert (image.dtype, image.shape[2:]) == (np.uint8, (3,))
        return
    assert str(path) in refused
    assert "\n" not in refused
