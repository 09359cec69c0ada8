"""Pixels of more than 8 bits: the range that a file states or that its values use becomes 0 to 255."""

import io

import numpy as np
import pytest
from PIL import Image
from png_bytes import wide_png

from maskadapter.errors import ImageError
from maskadapter.io.images import read_image

RAMP = np.linspace(0, 1, 24).reshape(4, 6)
COLOR = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)


def tiff(values, color=False, **tags):
    """A TIFF of (H, W) or (H, W, 3) values; tags by number, as tag_262=0."""
    file = io.BytesIO()
    if color:
        tifffile = pytest.importorskip("tifffile")
        tifffile.imwrite(file, values, photometric="rgb", **tags)
    else:
        numbers = {int(name.removeprefix("tag_")): value for name, value in tags.items()}
        Image.fromarray(values).save(file, "TIFF", tiffinfo=numbers)
    return file.getvalue()


def near(image, share, tolerance=1.5):
    """Whether the image shows shares, 0 to 1, of full brightness."""
    return np.abs(image.astype(float) - np.atleast_3d(share) * 255).max() <= tolerance


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("write", [wide_png, tiff])
def test_gray_is_scaled_by_the_bits_in_use(tmp_path, caplog, bits, write):
    values = (RAMP * (2**bits - 1)).astype(np.uint16)
    path = tmp_path / "wide.img"
    path.write_bytes(write(values))
    assert near(read_image(path), RAMP)
    if bits == 16:
        assert caplog.messages == []
    else:
        (message,) = caplog.messages
        assert message.startswith(f"{path}: 16-bit values are read from 0 to {2**bits - 1:,}, {bits} bits, because")


@pytest.mark.parametrize(
    "values", [RAMP * 4095, COLOR * 4095, COLOR * 1023, np.dstack([COLOR * 4095, RAMP * 0 + 65535])]
)
def test_color_keeps_its_low_bits(caplog, values):
    values = values.astype(np.uint16)
    image = read_image(io.BytesIO(wide_png(values)))
    color = values[..., :3] if values.ndim == 3 else values
    assert near(image, color / (4095 if values.max() != 1023 else 1023), 0.6)
    assert len(np.unique(image)) > 20  # the high bytes alone hold 4 or 16 values
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_color_in_tiff(options):
    values = (COLOR * 4095).astype(np.uint16)
    assert near(read_image(io.BytesIO(tiff(values, color=True, **options))), COLOR, 0.6)


def test_alpha_of_few_bits_is_scaled_too():
    values = (np.dstack([COLOR, RAMP * 0 + 1]) * 4095).astype(np.uint16)
    assert near(read_image(io.BytesIO(wide_png(values))), COLOR)


def test_color_of_16_bits_and_black_stay(caplog):
    assert near(read_image(io.BytesIO(wide_png((COLOR * 65535).astype(np.uint16)))), COLOR)
    for shape in ((4, 6), (4, 6, 3)):
        assert read_image(io.BytesIO(wide_png(np.zeros(shape, np.uint16)))).max() == 0
    assert caplog.messages == []


def test_gray_with_alpha():
    values = (np.dstack([RAMP, RAMP * 0 + 1]) * 65535).astype(np.uint16)
    assert near(read_image(io.BytesIO(wide_png(values))), RAMP)


@pytest.mark.parametrize("maximum", [1000, 4095, 65535])
def test_the_stated_range_counts_where_the_values_fit_in(caplog, maximum):
    dark = (RAMP * 0.2 * maximum).astype(np.uint16)
    assert near(read_image(io.BytesIO(tiff(dark, tag_281=maximum))), RAMP * 0.2)
    assert [f"0 to {maximum:,}, as its file states" in line for line in caplog.messages] == [True] * (maximum < 65535)


def test_a_range_that_the_values_leave_is_not_believed():
    values = (RAMP * 65535).astype(np.uint16)
    assert near(read_image(io.BytesIO(tiff(values, tag_281=255))), RAMP)


def test_the_stated_range_of_a_pgm():
    dark = (RAMP * 900).astype(">u2").tobytes()
    assert near(read_image(io.BytesIO(b"P5 6 4 4095\n" + dark)), RAMP * 900 / 4095)
    assert near(read_image(io.BytesIO(b"P5 6 4 65535\n" + dark)), RAMP * 900 / 1023)


def test_channels_one_after_the_other():
    values = np.moveaxis((COLOR * 65535).astype(np.uint16), 2, 0)
    planar = {"color": True, "planarconfig": "separate"}
    with pytest.raises(ImageError, match="one channel after the other with 16 bits: save it with 8, or compressed"):
        read_image(io.BytesIO(tiff(values, **planar)))
    assert near(read_image(io.BytesIO(tiff(values, compression="zlib", **planar))), COLOR)
    assert near(read_image(io.BytesIO(tiff((values >> 8).astype(np.uint8), **planar))), COLOR)


def test_significant_bits_of_a_png():
    dark = (RAMP * 900).astype(np.uint16)
    assert near(read_image(io.BytesIO(wide_png(dark, significant_bits=12))), RAMP * 900 / 4095)
    # As the standard wants it: the values are scaled to 16 bits, of which 12 are significant.
    assert near(read_image(io.BytesIO(wide_png((RAMP * 65535).astype(np.uint16), significant_bits=12))), RAMP)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_white_is_zero(bits):
    values = (RAMP * (2**bits - 1)).astype(np.uint16)
    assert near(read_image(io.BytesIO(tiff(values, tag_262=0))), 1 - RAMP)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I"])
def test_pil_images_of_every_mode_of_whole_numbers(mode):
    kind = {"I;16": "<u2", "I;16B": ">u2", "I;16L": "<u2", "I": "<i4"}[mode]
    values = (RAMP * 65535).astype(kind)
    assert near(read_image(Image.frombytes(mode, (6, 4), values.tobytes())), RAMP)


@pytest.mark.parametrize("values", [RAMP * 100 - 1, RAMP * 70_000, RAMP * 2**31 - 2**30])
def test_values_without_an_agreed_range_are_refused(values):
    with pytest.raises(ImageError, match=r"whole numbers from -?[\d,]+ to [\d,]+, which have no agreed range; save"):
        read_image(Image.fromarray(values.astype(np.int32)))


def test_signed_16_bits(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "signed.tif", (RAMP * 4095).astype(np.int16))
    assert near(read_image(tmp_path / "signed.tif"), RAMP)
    tifffile.imwrite(tmp_path / "signed.tif", (RAMP * 4095 - 1).astype(np.int16))
    with pytest.raises(ImageError, match=r"signed\.tif has whole numbers from -1 to"):
        read_image(tmp_path / "signed.tif")
