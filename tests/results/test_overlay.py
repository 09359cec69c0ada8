import numpy as np
import pytest
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.io.images import read_labels
from maskadapter.results import overlay
from maskadapter.results.colors import colors_of
from maskadapter.results.overlay import _draw_legend, draw_overlay, label_image

GRAY = np.full((240, 320, 3), 128, np.uint8)


def color(name):
    (found,) = colors_of([name])
    return found


def halves(shape=(240, 320)):
    """Left half class 0, right half class 1."""
    labels = np.zeros(shape, np.int32)
    labels[:, shape[1] // 2 :] = 1
    return labels


def distance(one, other):
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).max()


def test_fill_is_between_the_image_and_the_color():
    overlay = np.asarray(draw_overlay(GRAY, halves(), ["cat", "dog"]))
    assert overlay.shape == GRAY.shape
    for column, name in ((10, "cat"), (310, "dog")):
        pixel = overlay[10, column].astype(int)
        expected = 0.58 * 128 + 0.42 * np.array(color(name))
        assert distance(pixel, expected) <= 2


def test_border_has_the_color_of_either_side():
    overlay = np.asarray(draw_overlay(GRAY, halves(), ["cat", "dog"]))
    assert distance(overlay[10, 159], color("cat")) < 40
    assert distance(overlay[10, 160], color("dog")) < 40


def test_pixels_of_no_class_stay_as_they_are():
    labels = halves()
    labels[:, 80:] = -1
    overlay = np.asarray(draw_overlay(GRAY, labels, ["cat", "dog"]))
    assert (overlay[:, 80:] == 128).all()
    assert not (draw_overlay(GRAY, np.full((240, 320), -1, np.int32), ["cat"]) - GRAY).any()


def plates(image, labels, names):
    """Pixels that text plates and legend changed: what differs from the same image with an invisible name."""
    with_names = np.asarray(draw_overlay(image, labels, names), int)
    tinted = with_names.copy()
    for label, name in enumerate(names):
        tinted[labels == label] = (0.58 * image[labels == label] + 0.42 * np.array(color(name))).astype(int)
    return np.abs(with_names - tinted).max(axis=2) > 12


def test_names_stand_inside_their_segments():
    # A ring: its bounding box's center lies in the hole, so a name placed there would name the wrong thing.
    rows, columns = np.mgrid[:600, :600]
    radius = np.hypot(rows - 300, columns - 300)
    labels = np.where(radius < 140, 1, 0).astype(np.int32)
    labels[radius > 290] = 2
    image = np.full((600, 600, 3), 128, np.uint8)
    changed = plates(image, labels, ["ring", "hole", "rest"])
    away_from_borders = (np.abs(radius - 140) > 6) & (np.abs(radius - 290) > 6)
    for label in (0, 1):
        assert (changed & away_from_borders & (labels == label)).sum() > 300
    center = changed[200:400, 200:400] & (radius[200:400, 200:400] < 134)
    rows_of_text = np.flatnonzero(center.any(axis=1))
    assert rows_of_text.max() - rows_of_text.min() < 60  # one plate in the hole, its own


def test_a_name_without_room_goes_to_the_legend():
    labels = np.zeros((240, 320), np.int32)
    labels[100:103, 100:103] = 1
    changed = plates(GRAY, labels, ["wall", "fly"])
    corners = [changed[-40:, :80], changed[:40, :80], changed[-40:, -80:], changed[:40, -80:]]
    assert max(int(corner.sum()) for corner in corners) > 300
    assert not changed[90:97, 90:113].any()


def test_the_legend_avoids_names_in_all_corners():
    canvas, taken = Image.new("RGB", (320, 240)), np.zeros((240, 320), np.float32)
    taken[:60, :100] = taken[-60:, :100] = taken[:60, -100:] = taken[-60:, -100:] = 1
    _draw_legend(canvas, [("fly", (200, 0, 0))], taken, 1, 12)
    drawn = np.asarray(canvas).any(axis=2)
    assert drawn.any()
    assert not drawn[taken > 0].any()


def test_large_images_get_large_names():
    small = plates(GRAY, halves(), ["cat", "dog"])
    large = plates(np.full((960, 1280, 3), 128, np.uint8), halves((960, 1280)), ["cat", "dog"])
    assert large.sum() > 4 * small.sum()


def test_scores_are_written():
    without = np.asarray(draw_overlay(GRAY, halves(), ["cat", "dog"]), int)
    with_scores = np.asarray(draw_overlay(GRAY, halves(), ["cat", "dog"], scores=[0.91, 0.5]), int)
    assert np.abs(without - with_scores).max() > 50


@pytest.mark.parametrize(
    "name", ["кошка", "猫", "قطة", "बिल्ली", "chaise à bébé", "🐈", "a" * 10_000, "\ud800", "a\nb\0c", "[bold]x[/]", "-"]
)
def test_names_of_any_script(name):
    overlay = draw_overlay(GRAY, halves(), [name, "dog"])
    assert overlay.size == (320, 240)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 7), (30, 40)])
def test_images_too_small_for_text(shape):
    overlay = draw_overlay(
        np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.int32), ["a long name for a small place"]
    )
    assert overlay.size == shape[::-1]


def test_hundreds_of_classes():
    labels = (np.arange(240)[:, None] // 8 * 40 + np.arange(320)[None] // 8).astype(np.int32)
    overlay = draw_overlay(GRAY, labels, [f"class {index}" for index in range(1200)])
    assert overlay.size == (320, 240)


def test_the_input_is_not_touched():
    image, labels = GRAY.copy(), halves()
    draw_overlay(image, labels, ["cat", "dog"])
    np.testing.assert_array_equal(image, GRAY)
    np.testing.assert_array_equal(labels, halves())


@pytest.mark.parametrize(("count", "mode"), [(1, "P"), (255, "P"), (256, "I;16"), (847, "I;16"), (65_535, "I;16")])
def test_label_image(tmp_path, count, mode):
    labels = np.array([[-1, 0], [count - 1, 0]], np.int32)
    names = [f"class {index}" for index in range(count)]
    label_image(labels, names).save(tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as opened:
        assert opened.mode == mode
        np.testing.assert_array_equal(np.asarray(opened).astype(int) - 1, labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.png").astype(int) - 1, labels)


def test_a_label_image_looks_like_the_overlay(tmp_path):
    label_image(np.array([[-1, 0, 1]], np.int32), ["cat", "dog"]).save(tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as opened:
        seen = np.asarray(opened.convert("RGB"))[0].tolist()
    assert seen == [[0, 0, 0], *map(list, colors_of(["cat", "dog"]))]


def test_more_classes_than_a_label_image_has_values_are_refused():
    with pytest.raises(MaskAdapterError, match="65,536 classes came, and a label map holds 65,535"):
        label_image(np.zeros((1, 1), np.int32), ["class"] * 65_536)


def test_a_large_image_is_tinted_in_strips_that_do_not_show(monkeypatch):
    draw = np.random.default_rng(0)
    labels = np.kron(draw.integers(-1, 5, (40, 10)), np.ones((37, 41), int)).astype(np.int32)
    image = draw.integers(0, 256, (*labels.shape, 3), dtype=np.uint8)
    whole = np.asarray(draw_overlay(image, labels, list("abcde")))
    for pixels in (1, 100_000):
        monkeypatch.setattr(overlay, "_TINTED_AT_A_TIME", pixels)
        assert (np.asarray(draw_overlay(image, labels, list("abcde"))) == whole).all()
