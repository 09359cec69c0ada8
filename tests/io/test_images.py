"""Reading images: one shape and type, or one line that names the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskadapter.errors import ImageError
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


@pytest.mark.parametrize("block", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b""])
def test_a_broken_exif_block_is_ignored(tmp_path, block):
    path = save(tmp_path / "photo.png", Image.fromarray(PIXELS), exif=block)
    np.testing.assert_array_equal(read_image(path), PIXELS)


def test_one_pixel():
    assert read_image(Image.new("1", (1, 1), 1)).tolist() == [[[255, 255, 255]]]


def png_that_claims(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


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
