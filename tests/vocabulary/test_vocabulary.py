import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskadapter.errors import VocabularyError
from maskadapter.vocabulary.vocabulary import TEMPLATES, Vocabulary, builtin_names

# (classes, synonyms, seen against COCO-panoptic, seen against COCO-Stuff), counted by running the official code.
OFFICIAL = {
    "ade20k-150": (150, 403, 64, 67),
    "ade20k-847": (847, 1342, 101, 115),
    "pascal-context-59": (59, 160, 51, 51),
    "pascal-context-459": (459, 559, 85, 94),
    "pascal-voc-20": (20, 79, 20, 20),
    "coco-panoptic": (133, 254, 133, 131),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_builtin_lists_count_as_in_the_official_code(name):
    vocabulary = Vocabulary.builtin(name)
    seen = [sum(vocabulary.seen(Vocabulary.builtin(train))) for train in ("coco-panoptic", "coco-stuff")]
    assert (len(vocabulary), len(vocabulary.synonyms), *seen) == OFFICIAL[name]


@pytest.mark.parametrize(
    ("name", "size"), [("coco-stuff", 171), ("lvis-v1", 1203), ("cityscapes", 19), ("mapillary-vistas", 65)]
)
def test_other_builtin_lists_have_their_classes(name, size):
    assert len(Vocabulary.builtin(name)) == size


def test_every_builtin_list_is_whole():
    assert len(builtin_names()) == 10
    for name in builtin_names():
        vocabulary = Vocabulary.builtin(name)
        assert vocabulary.name == name
        assert sum(vocabulary.group_sizes) == len(vocabulary.synonyms)
        assert "invalid_class_id" not in vocabulary.synonyms


@pytest.mark.parametrize(("name", "things"), [("coco-panoptic", 80), ("coco-stuff", 80), ("ade20k-150", 100)])
def test_builtin_lists_count_their_things(name, things):
    assert sum(Vocabulary.builtin(name).is_thing) == things


def test_synonyms_are_kept_to_the_letter():
    by_name = dict(zip(Vocabulary.builtin("coco-stuff").names, Vocabulary.builtin("coco-stuff").classes, strict=True))
    assert by_name["wall-wood"] == ("wall-wood", "wood wall", "wall wood")
    assert Vocabulary.builtin("pascal-voc-20").names[0] == "aeroplane"  # without the background class
    # The official list repeats a synonym: dropping it would change nothing but the text matrix that is compared.
    assert Vocabulary.builtin("ade20k-150").synonyms.count("kitchen range") == 2


def test_templates_are_the_fourteen_with_their_punctuation():
    assert len(set(TEMPLATES)) == 14
    assert all(template.count("{}") == 1 for template in TEMPLATES)
    without_full_stop = [index for index, template in enumerate(TEMPLATES) if not template.endswith(".")]
    assert without_full_stop == [1, 2, 3, 4]


def test_words():
    vocabulary = Vocabulary.of(" cat, sofa | couch,wall,, ")
    assert vocabulary.classes == (("cat",), ("sofa", "couch"), ("wall",))
    assert vocabulary.names == ("cat", "sofa", "wall")
    assert vocabulary.synonyms == ("cat", "sofa", "couch", "wall")
    assert vocabulary.group_sizes == (1, 2, 1)
    assert vocabulary.name is None


def test_sequences_keep_commas_and_take_synonyms():
    vocabulary = Vocabulary.of(["salt, pepper", ("sofa", "couch"), "tv|screen", "Кошка"])
    assert vocabulary.classes == (("salt, pepper",), ("sofa", "couch"), ("tv", "screen"), ("Кошка",))


def test_a_class_named_twice_is_merged_into_its_first_place():
    assert Vocabulary.of("sofa|couch, cat, sofa|settee|couch").classes == (("sofa", "couch", "settee"), ("cat",))


@pytest.mark.parametrize(
    ("classes", "kept", "message"),
    [
        ("Cat, cat, CAT, dog", (("Cat",), ("dog",)), "more than once counts once: Cat, cat, CAT"),
        (["traffic  light", "Traffic Light|signal"], (("traffic  light", "signal"),), "traffic light, Traffic Light"),
        ("Zebra|ZEBRA|zebra crossing, zebra", (("Zebra", "zebra crossing"),), "Zebra, zebra"),
        ("divan|Daybed, daybed|cot", (("divan", "Daybed"), ("daybed", "cot")), "score alike: daybed (divan, daybed)"),
    ],
)
def test_names_that_text_encoders_take_for_the_same_are_said_once(classes, kept, message, caplog):
    assert [Vocabulary.of(classes).classes for _ in range(2)] == [kept, kept]
    assert len(caplog.messages) == 1
    assert message in caplog.messages[0]


def test_different_names_are_said_to_be_nothing(caplog):
    assert len(Vocabulary.of("cat, cats, Straße, Strasse, cafe, café")) == 6
    assert not caplog.messages


def test_list_name_and_vocabulary_pass_through():
    assert Vocabulary.of("ade20k-150") == Vocabulary.builtin("ade20k-150")
    assert Vocabulary.of(Vocabulary.builtin("cityscapes")).name == "cityscapes"


@pytest.mark.parametrize("as_type", [str, lambda path: path], ids=["str", "Path"])
def test_file(tmp_path, as_type):
    path = tmp_path / "words.txt"
    path.write_text("\ufeff# my classes\ncat\n\nsofa|couch\nwall, floor\n", encoding="utf-8")
    assert Vocabulary.of(as_type(path)).classes == (("cat",), ("sofa", "couch"), ("wall",), ("floor",))


def test_a_word_never_opens_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat").write_text("dog")
    assert Vocabulary.of("cat").names == ("cat",)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("", "no classes"),
        (" , ", "no classes"),
        ([], "no classes"),
        (["cat", " "], "class 2 has an empty name"),
        (["cat", ("", "dog")], "class 2 has an empty name"),
        ([()], "class 1 has an empty name"),
        (["cat", 3], "class 3 is neither"),
        (7, "classes is of type int"),
        ({"names": ["cat", "dog"]}, "classes is of type dict"),
        ({"0": "cat", "1": "dog"}, "classes is of type dict"),
        ({"cat", "dog"}, "classes is of type set"),
        ("missing.txt", r"no such file of classes: missing\.txt"),
        ("ade20k-15", "did you mean 'ade20k-150'"),
        ("lvis", "did you mean 'lvis-v1'"),
    ],
)
def test_unusable_classes_are_refused(classes, message):
    with pytest.raises(VocabularyError, match=message) as refused:
        Vocabulary.of(classes)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "photo.txt"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(VocabularyError, match="not UTF-8 text"):
        Vocabulary.of(path)


@pytest.mark.parametrize("name", ["cityscape", "nothing like it"])
def test_an_unknown_list_is_refused_with_a_hint(name):
    with pytest.raises(VocabularyError, match="cityscapes"):
        Vocabulary.builtin(name)


def test_things_follow_the_lists_and_free_words_are_things():
    vocabulary = Vocabulary.of("person, Sky, wall, my rubber duck, gizmo|grass, window|cat")
    assert vocabulary.is_thing == (True, False, False, True, False, False)


def test_things_override():
    assert Vocabulary.of("cat, sofa|couch, sky", things=["couch", "sky"]).is_thing == (False, True, True)
    assert Vocabulary.of("cat, sky", things="sky").is_thing == (False, True)
    assert Vocabulary.of("cat, sky", things=[]).is_thing == (False, False)
    assert Vocabulary.of("Cat, cat, SKY", things="CAT").is_thing == (True, False)
    with pytest.raises(VocabularyError, match=r"things names \"sofas\", .* did you mean 'sofa'"):
        Vocabulary.of("cat, sofa", things=["sofas"])


def test_a_vocabulary_checks_itself():
    with pytest.raises(VocabularyError, match="1 flags for 2 classes"):
        Vocabulary((("cat",), ("dog",)), (True,))
    with pytest.raises(VocabularyError, match="class 2 of 2 has an empty name"):
        Vocabulary((("cat",), ("",)), (True, True))


def test_seen_needs_the_exact_string():
    train = Vocabulary.of("cat|cats, sofa")
    assert Vocabulary.of("kitten|cats, sofas, sofa").seen(train) == (True, False, True)
    assert Vocabulary.of("Sofa").seen(train) == (False,)


@settings(deadline=None, derandomize=True)  # the first example reads the lists
@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=3)))
def test_of_keeps_every_name_or_says_why_not(groups):
    try:
        vocabulary = Vocabulary.of(groups)
    except VocabularyError:
        assert not groups or any(not name.strip() for group in groups for name in group)
    else:

        def heard(names):
            return {" ".join(name.lower().split()) for name in names}

        assert heard(vocabulary.synonyms) == heard(name for group in groups for name in group)
        assert len(heard(vocabulary.names)) == len(vocabulary)


def test_vocabulary_needs_no_torch():
    code = (
        "import sys; from maskadapter.vocabulary.vocabulary import Vocabulary; Vocabulary.of('cat'); "
        "print({'torch', 'numpy'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.mark.parametrize("text", ["clases.csv", "lists/animals.json", "/dev/zero", "words.txt"])
def test_a_mistyped_file_of_classes_is_no_class(text):
    with pytest.raises(VocabularyError, match="classes"):
        Vocabulary.of(text)


def test_words_with_slashes_and_stops_stay_words():
    assert Vocabulary.of("and/or").names == ("and/or",)
    assert Vocabulary.of("dr. who, shoe no.2").names == ("dr. who", "shoe no.2")


def test_text_that_is_not_utf_8_is_refused():
    with pytest.raises(VocabularyError, match="UTF-8"):
        Vocabulary.of("caf\udce9")


def test_names_by_number_as_ultralytics_has_them():
    assert Vocabulary.of({1: "dog", 0: "cat|kitten", 7: "cow"}).classes == (("cat", "kitten"), ("dog",), ("cow",))


def test_names_of_strangers_open_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    for text in ("classes.txt", str(tmp_path / "classes.txt"), "./classes.txt"):
        assert Vocabulary.of(text).names == ("cat", "dog")
        assert Vocabulary.of_names(text).names == (text,)
        assert Vocabulary.of_names([text, "cat"], things=text).is_thing == (True, False)
    assert Vocabulary.of_names(" ade20k-150 ") == Vocabulary.builtin("ade20k-150")
    assert Vocabulary.of_names("cat, sofa|couch") == Vocabulary.of("cat, sofa|couch")
    with pytest.raises(VocabularyError, match="did you mean 'ade20k-150'"):
        Vocabulary.of_names("ade20k")
