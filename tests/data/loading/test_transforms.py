"""Properties of the training transform for random seeds. parity/test_mappers compares it with the official mappers."""

from random import Random

import numpy as np
import pytest

from maskadapter.data.dataset import Sample
from maskadapter.data.loading.color_jitter import jitter_color
from maskadapter.data.loading.transforms import PAD_VALUE, TrainingTransform, random_state
from maskadapter.types.target import UNLABELED, Target


def _sample(height=40, width=60):
    """An image whose red channel says which segment a pixel belongs to."""
    ids = (np.arange(height)[:, None] // 10 * 2 + np.arange(width) // 30).astype(np.int32)
    count = int(ids.max()) + 1
    image = np.repeat((ids * 20 + 10).astype(np.uint8)[..., None], 3, axis=2)
    return Sample(image, Target(np.arange(count), np.zeros(count, bool), ids), "image")


def test_an_image_that_is_not_scaled_keeps_its_pixels():
    sample = _sample(64, 64)
    made = TrainingTransform(64, scale=(1.0, 1.0), flip=0.0)(sample, random_state(0, 0))
    assert (made.image == sample.image).all()
    assert (made.target.segment_ids == sample.target.segment_ids).all()
    mirrored = TrainingTransform(64, scale=(1.0, 1.0), flip=1.0)(sample, random_state(0, 0))
    assert (mirrored.image == sample.image[:, ::-1]).all()
    assert (mirrored.target.segment_ids == sample.target.segment_ids[:, ::-1]).all()


@pytest.mark.parametrize("rounding", ["center", "corner"])
def test_image_and_labels_stay_in_step(rounding):
    transform = TrainingTransform(96, rounding=rounding)
    sizes, shares = set(), []
    for index in range(40):
        made = transform(_sample(), random_state(3, index))
        ids = made.target.segment_ids
        assert made.image.shape == (96, 96, 3)
        assert ids.shape == (96, 96)
        inside = ids != UNLABELED
        assert (made.image[~inside] == PAD_VALUE).all()
        # A pixel between two segments is a mixture, but most pixels lie inside one.
        right = np.abs(made.image[inside][:, 0].astype(int) - (ids[inside] * 20 + 10)) <= 10
        shares.append(right.mean())
        sizes.add((int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum())))
    assert min(shares) > 0.5
    assert np.mean(shares) > 0.9
    # 0.1 to 2.0 times the size: some smaller than the crop on both sides, some filling it.
    assert min(height for height, _ in sizes) < 32
    assert (96, 96) in sizes


def test_masks_that_may_overlap_are_treated_like_a_map():
    sample = _sample()
    apart = Sample(sample.image, Target.of_masks(sample.target.masks(), sample.target.classes), sample.name)
    for index in range(10):
        of_map = TrainingTransform(50)(sample, random_state(1, index))
        of_masks = TrainingTransform(50)(apart, random_state(1, index))
        assert (of_map.target.masks() == of_masks.target.masks()).all()
        assert (of_map.image == of_masks.image).all()


def test_an_image_without_segments_and_a_strip_are_harmless():
    nothing = Target(np.zeros(0, np.int64), np.zeros(0, bool), np.full((1, 400), UNLABELED, np.int32))
    sample = Sample(np.zeros((1, 400, 3), np.uint8), nothing, "strip")
    for index in range(20):
        made = TrainingTransform(32)(sample, random_state(0, index))
        assert made.image.shape == (32, 32, 3)
        assert made.target.masks().shape == (0, 32, 32)


def test_a_sample_depends_on_its_own_numbers_alone():
    transform = TrainingTransform(64, color=True)
    made = [transform(_sample(), random_state(*numbers)).image for numbers in [(1, 2), (1, 2), (2, 1), (1, 3)]]
    assert (made[0] == made[1]).all()
    assert (made[0] != made[2]).any()
    assert (made[0] != made[3]).any()


def test_color_varies_the_image_and_not_the_labels():
    plain, varied = TrainingTransform(64), TrainingTransform(64, color=True)
    changed = 0
    for index in range(20):
        before, after = (transform(_sample(), random_state(0, index)) for transform in (plain, varied))
        assert (before.target.segment_ids == after.target.segment_ids).all()
        changed += (before.image != after.image).any()
    # Each of the four steps is taken half of the time.
    assert 14 <= changed <= 20


def test_gray_stays_gray_and_colors_survive_the_way_through_hue():
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]], np.uint8)
    turned = set()
    for seed in range(60):
        made = jitter_color(gray, Random(seed))
        assert (made == made[..., :1]).all()
        bright = jitter_color(primaries, Random(seed))
        # A turn of at most 36 degrees leaves the strongest channel of a primary where it is.
        assert bright[0, :3].argmax(axis=1).tolist() == [0, 1, 2]
        turned.add(tuple(bright[0, 0]))
    assert len(turned) > 20
