"""The colors of classes."""

import numpy as np
import pytest

from maskadapter.results.colors import colors_of
from maskadapter.vocabulary.vocabulary import Vocabulary


def test_colors_are_a_property_of_the_name():
    assert colors_of(["cat"]) == colors_of([" Cat "]) == colors_of(["dog", "cat"])[1:]
    common = ["person", "cat", "dog", "sky", "grass", "tree", "wall", "building", "road", "floor", "table", "chair"]
    assert len(set(colors_of(common))) == len(common)
    assert all(0 <= value <= 255 for name in common for value in colors_of([name])[0])
    # The same color in another year and another program: the documented images depend on it.
    ((red, green, blue),) = colors_of(["sky"])
    assert blue > red
    ((red, green, blue),) = colors_of(["grass"])
    assert green > red
    assert green > blue


def test_palette_is_distinct_to_the_color_blind():
    from skimage.color import rgb2lab

    # Source: Machado, Oliveira, Fernandes 2009, severity 1.0, linear RGB.
    sights = {
        "normal": np.eye(3),
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }
    colors = np.array(sorted({colors_of([f"name {index}"])[0] for index in range(2000)})) / 255
    assert len(colors) == 24
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    for sight in sights.values():
        seen = (linear @ np.array(sight).T).clip(0, 1)
        seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(seen[None])[0]
        between = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e3 * np.eye(len(lab))
        assert between.min() > 10


@pytest.mark.parametrize("prefix", ["name", "class", "part no."])
@pytest.mark.parametrize("count", [2, 12, 24, 120])
def test_no_two_classes_share_a_color_while_there_are_others(prefix, count):
    colors = colors_of([f"{prefix} {index}" for index in range(count)])
    assert len(set(colors)) == count
    palette = set(colors_of([f"name {index}" for index in range(24)]))
    assert len(palette.intersection(colors)) == min(count, 24)


def test_a_name_has_its_own_color_before_others_take_it():
    names = [f"name {index}" for index in range(40)]
    same = next(name for name in names[1:] if colors_of([name]) == colors_of(names[:1]))
    taken = colors_of([names[0], same])[1]
    owner = next(name for name in names if colors_of([name]) == (taken,))
    colors = colors_of([names[0], same, owner])
    assert colors[0] == colors_of(names[:1])[0]
    assert colors[2] == taken
    assert len(set(colors)) == 3


def test_classes_of_one_name_and_of_a_long_list_have_colors():
    assert len(set(colors_of(["pot", "pot"]))) == 2
    names = [f"part {index}" for index in range(3000)]
    colors = colors_of(names)
    assert len(colors) == len(names)
    assert len(set(colors)) == 1320
    assert colors_of(names) == colors
    assert colors_of([]) == ()


@pytest.mark.parametrize("name", ["ade20k-150", "ade20k-847", "pascal-context-459", "lvis-v1"])
def test_the_classes_of_a_built_in_list_have_different_colors(name):
    names = Vocabulary.builtin(name).names
    assert len(set(colors_of(names))) == len(names)
