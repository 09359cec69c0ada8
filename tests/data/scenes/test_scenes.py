"""Synthetic scenes."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from maskadapter.data.scenes.scenes import (
    COLORS,
    DARK,
    GLYPH_COLOR,
    GLYPHS,
    GROUND,
    TEXTURES,
    Scenes,
    compositions,
    is_held_out,
)
from maskadapter.errors import DatasetError
from maskadapter.types.target import UNLABELED


def test_a_scene_depends_only_on_seed_and_index():
    scenes = Scenes(50, seed=3, stuff=True)
    again, longer = Scenes(50, seed=3, stuff=True), Scenes(1000, seed=3, stuff=True)
    for index in (17, 0, 17, 49):
        assert (scenes[index].image == longer[index].image).all()
        assert (scenes[index].target.segment_ids == again[index].target.segment_ids).all()
        assert scenes.caption(index) == again.caption(index)
    assert (scenes[0].image != Scenes(50, seed=4, stuff=True)[0].image).any()
    assert (scenes[0].image != scenes[1].image).any()


@pytest.mark.parametrize(("stuff", "size"), [(False, 128), (True, 160), (True, 33)])
def test_a_scene_is_a_panoptic_sample(stuff, size):
    scenes = Scenes(30, size=size, stuff=stuff, things=(1, 5))
    assert scenes.task == "panoptic"
    assert len(list(scenes)) == len(scenes) == 30  # IndexError ends it
    for index in range(30):
        sample = scenes[index]
        assert sample.image.shape == (size, size, 3)
        assert sample.image.dtype == np.uint8
        assert sample.target.size == (size, size)
        assert sample.target.classes.tolist() == scenes.classes_of(index)
        assert (UNLABELED in sample.target.segment_ids) is not stuff
        things = [scenes.vocabulary.is_thing[number] for number in sample.target.classes]
        assert things == [False] * (2 * stuff) + [True] * (len(things) - 2 * stuff)
        assert 1 <= sum(things) <= 5
        # A blob hides less than half of another, since it stays away from its glyph; size 33 leaves 75 pixels.
        assert sample.target.masks()[2 * stuff :].sum(axis=(1, 2)).min() > 0.03 * size**2


def test_masks_are_exact():
    """Inside a mask every pixel is the blob's: its color, that darkened, or white; outside none of its hue is."""
    checked = 0
    for index in range(60):
        sample = (scenes := Scenes(60, things=(1, 3)))[index]
        pixels = sample.image.astype(float)
        colorful = np.ptp(pixels, axis=2) > 45  # neither gray nor white
        assert not (colorful & (sample.target.segment_ids == UNLABELED)).any()
        for mask, number in zip(sample.target.masks(), sample.target.classes, strict=True):
            _, color, _ = scenes.compositions[number]
            white = (pixels > GLYPH_COLOR - 10).all(axis=2)
            painted = pixels[mask & ~white]
            # Light, tone and noise change the length and hardly the direction.
            direction = painted / np.linalg.norm(painted, axis=1, keepdims=True)
            cosines = {name: direction @ (np.array(rgb) / np.linalg.norm(rgb)) for name, rgb in COLORS.items()}
            nearest = [max(cosines, key=lambda name: cosines[name][i]) for i in range(0, len(painted), 7)]
            assert Counter(nearest)[color] > 0.97 * len(nearest)
            assert cosines[color].min() > 0.9
            checked += 1
    assert checked > 100


def test_the_glyph_is_whole_inside_its_mask():
    for index in range(40):
        sample = Scenes(40, things=(4, 8))[index]
        white = (sample.image > GLYPH_COLOR - 10).all(axis=2)
        assert not (white & (sample.target.segment_ids == UNLABELED)).any()
        for mask in sample.target.masks():
            # The thinnest glyph covers a tenth of an average blob.
            assert 0.06 < (mask & white).sum() / mask.sum() < 0.5


def test_glyphs_and_textures_differ():
    y, x = np.mgrid[-1.5:1.5:0.02, -1.5:1.5:0.02].astype(np.float32)
    drawn = {name: draw(x, y) for name, draw in GLYPHS.items()}
    for mask in drawn.values():
        assert mask.any()
        assert (x[mask] ** 2 + y[mask] ** 2 <= 1.2**2).all()
    for one, other in product(drawn, drawn):
        if one != other:
            assert (drawn[one] ^ drawn[other]).sum() > 0.25 * drawn[one].sum()
    dark = {name: draw(x, y).mean() for name, draw in TEXTURES.items()}
    assert dark["plain"] == 0
    assert all(0.2 < share < 0.6 for name, share in dark.items() if name != "plain")
    assert 0 < DARK < 1


def test_blobs_hide_parts_of_each_other():
    scenes = Scenes(60, things=(5, 6))
    areas = [mask.sum() for index in range(60) for mask in scenes[index].target.masks()]
    alone = [mask.sum() for index in range(60) for mask in Scenes(60, things=(1, 1))[index].target.masks()]
    assert min(areas) < 0.9 * min(alone)


def test_seen_and_unseen_share_every_pair_of_parts_and_no_class():
    names = compositions(stuff=True)
    assert len(set(names)) == len(names) == len(TEXTURES) * len(COLORS) * (len(GLYPHS) + 1)
    unseen = {parts for parts in names if is_held_out(parts)}
    seen = set(names) - unseen
    assert len(unseen) == len(names) // 3
    for first, second in ((0, 1), (0, 2), (1, 2)):
        pairs = {(parts[first], parts[second]) for parts in names}
        assert {(parts[first], parts[second]) for parts in seen} == pairs
    assert Scenes(1, stuff=True).seen == tuple(parts in seen for parts in names)


@pytest.mark.parametrize("stuff", [False, True])
def test_all_compositions_occur_and_a_split_shows_only_its_own(stuff):
    everything, seen, unseen = (
        {number for index in range(900) for number in scenes.classes_of(index)}
        for scenes in (Scenes(900, stuff=stuff, seen=part) for part in (None, True, False))
    )
    scenes = Scenes(1, stuff=stuff)
    assert everything == set(range(len(scenes.vocabulary)))
    assert seen == {number for number, is_seen in enumerate(scenes.seen) if is_seen}
    assert unseen == everything - seen
    assert {scenes.compositions[number][2] for number in everything} == {*GLYPHS, *([GROUND] if stuff else [])}


def test_a_caption_names_everything_in_any_order():
    scenes = Scenes(40, stuff=True)
    in_order = 0
    for index in range(40):
        names = [scenes.vocabulary.names[number] for number in scenes.classes_of(index)]
        phrases = [phrase.removeprefix("a ") for phrase in scenes.caption(index).split(", ")]
        assert sorted(phrases) == sorted(names)
        in_order += phrases == names
    assert in_order < 10


@pytest.mark.parametrize("fields", [{"size": 31}, {"things": (0, 2)}, {"things": (3, 2)}, {"length": 0}])
def test_impossible_scenes_are_refused(fields):
    with pytest.raises(DatasetError, match="cannot be drawn"):
        Scenes(**{"length": 1, **fields})
