"""Masks with gray edges are refused, and label maps of every kind are not."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from maskadapter.errors import MaskError
from maskadapter.io.masks import read_masks


def drawn(size=(90, 60), scale=1):
    mask = Image.new("L", (size[0] * scale, size[1] * scale))
    width, height = mask.size
    draw = ImageDraw.Draw(mask)
    draw.ellipse((width // 9, height // 6, width // 2, height * 4 // 5), fill=255)
    draw.polygon([(width * 0.6, height * 0.2), (width * 0.95, height * 0.4), (width * 0.7, height * 0.9)], fill=255)
    return mask


def square():
    mask = np.zeros((60, 90), np.uint8)
    mask[10:30, 10:40] = 255
    return Image.fromarray(mask)


def through_jpeg(mask, quality):
    file = BytesIO()
    mask.save(file, "JPEG", quality=quality)
    return Image.open(file)


def resized(mask, size, how):
    return mask.resize((mask.width // size, mask.height // size), how).resize(mask.size, how)


SPOT = np.hypot(*np.mgrid[-30:30, -40:50])  # distance to a point
SOFT = {
    "JPEG, then PNG": lambda: through_jpeg(drawn(), 90),
    "bad JPEG, then PNG": lambda: through_jpeg(drawn(), 30),
    "square JPEG, then PNG": lambda: through_jpeg(square(), 90),
    "resized": lambda: resized(drawn(), 2, Image.Resampling.BILINEAR),
    "resized square": lambda: resized(square(), 2, Image.Resampling.BILINEAR),
    "resized with rings": lambda: resized(drawn(), 4, Image.Resampling.LANCZOS),
    "small edges": lambda: drawn(scale=4).resize((90, 60), Image.Resampling.BICUBIC),
    "blurred": lambda: drawn().filter(ImageFilter.GaussianBlur(1)),
    "very blurred": lambda: drawn((400, 300)).filter(ImageFilter.GaussianBlur(8)),
    "in RGB": lambda: resized(drawn(), 2, Image.Resampling.BILINEAR).convert("RGB"),
    "in 16 bits": lambda: Image.fromarray(np.asarray(resized(drawn(), 2, 2)).astype(np.uint16) * 257),
    "heat map": lambda: Image.fromarray((255 * np.exp(-((SPOT / 15) ** 2))).astype(np.uint8)),
    "probabilities": lambda: Image.fromarray((255 / (1 + np.exp(SPOT - 20))).astype(np.uint8)),
    "doubled": lambda: resized(drawn(), 2, 2).resize((180, 120), Image.Resampling.NEAREST),
}


@pytest.mark.parametrize("kind", SOFT)
def test_a_mask_with_gray_edges_is_refused(tmp_path, kind):
    image = SOFT[kind]()
    image.save(tmp_path / "mask.png")
    for source in (tmp_path / "mask.png", image) if kind != "in 16 bits" else (tmp_path / "mask.png", np.array(image)):
        with pytest.raises(MaskError, match=r"in transitions, .*give mask > 127, or save that as PNG"):
            read_masks(source, image.size[::-1])
    if kind not in ("in RGB", "in 16 bits"):  # the advice helps
        assert len(read_masks(np.array(image) > 127, image.size[::-1])) == 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("photo", ["chelsea", "coffee"])
def test_a_photo_is_not_a_label_map(photo, mode):
    image = Image.fromarray(getattr(pytest.importorskip("skimage.data"), photo)()).convert(mode)
    with pytest.raises(MaskError, match=r"in transitions, as in a photo|is it a label map"):
        read_masks(image, image.size[::-1])
    small = image.resize((90, 60))
    with pytest.raises(MaskError, match="in transitions, as in a photo"):
        read_masks(small, (60, 90))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("suffix", ["jpg", "webp", "jpeg"])
def test_a_jpeg_mask_is_refused_unless_it_kept_two_values(tmp_path, mode, suffix):
    path = tmp_path / f"mask.{suffix}"
    drawn().convert(mode).save(path, quality=90)
    with pytest.raises(MaskError, match=r"is of the format (JPEG|WEBP), which changes the values of labels"):
        read_masks(path, (60, 90))
    Image.fromarray(np.repeat(np.uint8([[1, 2]]), 45, axis=1).repeat(60, axis=0)).convert(mode).save(path, quality=100)
    with pytest.raises(MaskError, match="which changes the values of labels"):
        read_masks(path, (60, 90))
    Image.new(mode, (90, 60), "white").save(path)
    assert read_masks(path, (60, 90)).sum((1, 2)).tolist() == [5400]


def blocks(side, count=150, size=(120, 160)):
    rows, columns = size[0] // side + 1, size[1] // side + 1
    numbers = np.random.default_rng(0).integers(0, count + 1, (rows, columns))
    return np.kron(numbers, np.ones((side, side), int))[: size[0], : size[1]]


def spots(background=0):
    labels, rng = np.full((200, 200), background), np.random.default_rng(0)
    for number in range(1, 250):
        y, x, side = *rng.integers(0, 196, 2), rng.integers(1, 4)
        labels[y : y + side, x : x + side] = number
    return labels


def voc():
    image = Image.new("L", (250, 180))
    draw = ImageDraw.Draw(image)
    for left, label in ((10, 15), (90, 7), (170, 1)):
        draw.ellipse((left, 20, left + 60, 150), fill=label, outline=255, width=3)
    return np.asarray(image)


def panoptic():
    labels = np.zeros((100, 160), int)
    labels[:50], labels[50:, :70], labels[60:80, 20:40], labels[70:90, 100:130] = 17_000, 1, 255, 16_777_215
    return labels


def trimap():
    inner, outer = (
        np.asarray(drawn((180, 120)).filter(kind(9))) for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    return np.where(inner > 0, 255, np.where(outer > 0, 128, 0))


LEGIT = {
    "150 classes in blocks of 8": lambda: blocks(8),
    "150 classes in blocks of 4": lambda: blocks(4),
    "150 classes at random": lambda: blocks(1),
    "stripes of 3": lambda: np.tile(np.arange(151) // 3 * 3, (60, 1)),
    "151 values in rows": lambda: (np.arange(5400) % 151).reshape(60, 90),
    "spots": spots,
    "spots on a mask": lambda: spots(250),
    "VOC with a border of 255": voc,
    "panoptic ids": panoptic,
    "trimap": trimap,
    "two values": lambda: np.where(np.asarray(drawn()) > 0, 200, 7),
    "0, 1 and 255": lambda: np.where(np.arange(90) < 30, 0, np.where(np.arange(90) < 36, 1, 255))[None].repeat(60, 0),
}


@pytest.mark.parametrize("kind", LEGIT)
def test_label_maps_with_many_values_stay_label_maps(kind):
    labels = LEGIT[kind]()
    values = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(read_masks(labels, labels.shape), labels == values[:, None, None])


def test_superpixels_stay_label_maps():
    segmentation = pytest.importorskip("skimage.segmentation")
    rng = np.random.default_rng(0)
    image = np.asarray(Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8)).resize((120, 90), 2))
    for count in (12, 60, 300):
        labels = segmentation.slic(image, n_segments=count, start_label=1)
        assert len(read_masks(labels, labels.shape)) == labels.max()
