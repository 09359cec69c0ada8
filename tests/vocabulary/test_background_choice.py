"""Which classes compete with a user's where nothing else is said."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from maskadapter.errors import VocabularyError
from maskadapter.vocabulary import Vocabulary, background_line, builtin_names, competing_classes, in_other_scripts

OWN, BUILTIN = Vocabulary.of("cat, wall"), Vocabulary.of("ade20k-150")


@pytest.mark.parametrize(
    ("vocabulary", "background", "names", "line"),
    [
        (OWN, "auto", 171, "background: coco-stuff (171 classes)"),
        (BUILTIN, "auto", None, "background: none, ade20k-150 is a built-in list"),
        (replace(BUILTIN, is_thing=(True,) * 150), " auto", None, "background: none, ade20k-150 is a built-in list"),
        (OWN, "none", None, "background: none"),
        (OWN, "None", None, "background: none"),
        (OWN, " NONE ", None, "background: none"),
        (OWN, "Auto", 171, "background: coco-stuff (171 classes)"),
        (BUILTIN, None, None, "background: none"),
        (BUILTIN, "coco-stuff", 171, "background: coco-stuff (171 classes)"),
        (OWN, ["floor", "sky"], 2, "background: your own (2 classes)"),
        (OWN, "sofa|couch", 1, "background: your own (1 classes)"),
    ],
)
def test_the_background_that_applies(vocabulary, background, names, line):
    found = competing_classes(vocabulary, background)
    assert (found and len(found)) == names
    assert background_line(vocabulary, background) == line


def test_nothing_competes_for_given_masks_unless_it_is_asked_for():
    assert competing_classes(OWN, "auto", given_masks=True) is None
    assert background_line(OWN, "auto", given_masks=True) == "background: none, the masks were given"
    assert len(competing_classes(OWN, "coco-stuff", given_masks=True)) == 171


def test_encoded_classes_are_handed_on():
    encoded = SimpleNamespace(vocabulary=OWN)
    assert competing_classes(BUILTIN, encoded) is encoded
    assert background_line(BUILTIN, encoded) == "background: your own (2 classes)"


def test_a_mistake_in_the_background_is_refused():
    with pytest.raises(VocabularyError, match="did you mean 'coco-stuff'"):
        competing_classes(OWN, "coco-stuf-1")


def test_names_in_other_scripts():
    classes = [
        "cat",
        "кошка",
        "猫",
        ("قط", "cat"),
        "café",
        "naïve Æther",
        "猫 tree",
        "ネコ|木",
        "5 µm",
        "12",
        "γάτα",
        "חתול",
    ]
    assert in_other_scripts(Vocabulary.of(classes)) == ["кошка", "猫", "ネコ", "γάτα", "חתול"]


@pytest.mark.parametrize("name", builtin_names())
def test_the_builtin_lists_are_not_looked_at_for_other_scripts(name):
    assert in_other_scripts(Vocabulary.builtin(name)) == []
