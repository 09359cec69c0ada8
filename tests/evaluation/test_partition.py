"""Seen and unseen classes: by synonyms, by a file, and by the supercategories of A-150."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import maskadapter.evaluation.partition
from maskadapter.errors import VocabularyError
from maskadapter.evaluation.partition import Partition
from maskadapter.vocabulary import Vocabulary

FILE = json.loads(
    Path(maskadapter.evaluation.partition.__file__).with_name("a150_supercategories.json").read_text(encoding="utf-8")
)
ROWS = FILE["classes"]
A150, COCO = Vocabulary.builtin("ade20k-150"), Vocabulary.builtin("coco-panoptic")


def test_partition_by_synonyms_is_the_ensembles():
    for name, train, seen in (
        ("ade20k-150", "coco-panoptic", 64),
        ("ade20k-150", "coco-stuff", 67),
        ("ade20k-847", "coco-panoptic", 101),
        ("pascal-voc-20", "coco-stuff", 20),
    ):
        vocabulary = Vocabulary.builtin(name)
        partition = Partition.of("synonyms", vocabulary, train)
        assert partition.counts == (seen, len(vocabulary) - seen)
        assert partition.seen == vocabulary.seen(Vocabulary.builtin(train))
        assert Partition.of(train, vocabulary) == partition  # a list's name, whatever the model was trained on


def test_partition_by_a_file(tmp_path):
    vocabulary = Vocabulary((("cat", "pet"), ("dog", "pet"), ("sky",), ("pet", "hamster")), (True, True, False, True))
    path = tmp_path / "seen.txt"
    path.write_text("sky\nhamster\n")
    partition = Partition.of(path, vocabulary)
    assert partition.seen == (False, False, True, True)
    assert partition.groups["unseen"].tolist() == [True, True, False, False]
    path.write_text("pet\n")  # shown for the last, a mere synonym of the others
    assert Partition.of(str(path), vocabulary).seen == (False, False, False, True)
    path.write_text("cat\ndogg\n")
    with pytest.raises(VocabularyError, match=r"has the name \"dogg\", which no class has; did you mean 'dog'\?"):
        Partition.of(path, vocabulary)


def test_an_unknown_partition():
    vocabulary = Vocabulary.of("cat, dog")
    with pytest.raises(VocabularyError, match="did you mean 'synonyms'"):
        Partition.of("synonym", vocabulary, "coco-stuff")
    with pytest.raises(VocabularyError, match="did you mean 'paper-rule'"):
        Partition.of("paper_rule", vocabulary)
    with pytest.raises(VocabularyError, match="needs the list that the model was trained on"):
        Partition.of("synonyms", vocabulary)


def test_partition_by_supercategory():
    partition = Partition.of("paper-rule", A150, "coco-stuff")
    assert partition.counts == (76, 74)
    assert "74 seen and 76 unseen" in partition.name
    seen = {name for name, flag in zip(A150.names, partition.seen, strict=True) if flag}
    assert seen >= {"field", "wall", "palm tree", "skyscraper", "lake"}  # field: the paper's example
    assert seen.isdisjoint({"animal", "wardrobe", "stairway", "arcade machine"})


def test_each_class_of_a150_has_one_supercategory_entry():
    assert tuple(ROWS) == A150.names
    assert {row["coco"] for row in ROWS.values()} - {None} <= {*COCO.names}
    for name, row in ROWS.items():
        assert row.keys() <= {"sense", "supercategory", "coco", "by", "gained", "lost", "note"}, name
        assert row["supercategory"], name
        assert (row.get("by") in ("itself", "supercategory", "judgment")) == (row["coco"] is not None), name
        if row.get("by") == "judgment":
            assert row["note"], name
    assert [name for name, row in ROWS.items() if row.get("by") == "judgment"] == ["windowpane", "field"]


def test_one_rule_decides_all_classes():
    """No class is unseen that has a seen class's sense, or a COCO category's, as its supercategory."""
    own = {row["sense"]: row["coco"] for row in ROWS.values() if row.get("by") == "itself"}
    assert own.keys().isdisjoint(FILE["categories"])
    categories = own | FILE["categories"]
    for name, row in ROWS.items():
        above = {categories[sense] for sense in row["supercategory"] if sense in categories}
        if row["coco"] is None:
            assert not above, name
        elif row["by"] == "supercategory":
            assert row["coco"] in above, name


def test_what_supercategories_change_against_shared_synonyms():
    shared = dict(zip(A150.names, A150.seen(COCO), strict=True))
    gained = {name for name, row in ROWS.items() if row["coco"] and not shared[name]}
    lost = {name for name, row in ROWS.items() if not row["coco"] and shared[name]}
    assert {name for name, row in ROWS.items() if row.get("gained")} == gained
    assert {name for name, row in ROWS.items() if row.get("lost")} == lost
    assert lost == {"plant", "apparel", "plant pots", "animal", "plate", "cup"}
    assert (len(gained), sum(shared.values())) == (18, 64)


def test_supercategories_follow_the_names_whatever_their_order():
    turned = replace(A150, classes=A150.classes[::-1], is_thing=A150.is_thing[::-1], name=None)
    assert Partition.of("paper-rule", turned).seen == Partition.of("paper-rule", A150).seen[::-1]


@pytest.mark.parametrize(
    "classes", ["cat, dog", "ade20k-847", ",".join(A150.names[1:]), ",".join(("cat", *A150.names[1:]))]
)
def test_supercategories_are_known_for_a150_alone(classes):
    with pytest.raises(VocabularyError, match="is for the 150 classes of ade20k-150, and these are others: give syn"):
        Partition.of("paper-rule", Vocabulary.of(classes))


def test_the_ensembles_classes_stay_those_of_shared_synonyms():
    assert A150.seen(COCO) == Partition.of("synonyms", A150, "coco-panoptic").seen
    assert A150.seen(COCO) != Partition.of("paper-rule", A150).seen
