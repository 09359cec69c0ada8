"""Joined vocabularies name every class once."""

import numpy as np
import pytest

from maskadapter.errors import VocabularyError
from maskadapter.vocabulary.joining import join_vocabularies
from maskadapter.vocabulary.vocabulary import Vocabulary


def vocabulary(*classes):
    return Vocabulary(tuple(tuple(names.split("|")) for names in classes), (True,) * len(classes))


def joined(*vocabularies):
    both, indices = join_vocabularies(vocabularies)
    return ["|".join(names) for names in both.classes], indices


def test_equal_first_names_are_one_class_with_the_synonyms_of_all():
    classes, indices = joined(vocabulary("cat", "dog|hound"), vocabulary("DOG|puppy", "zebra"))
    assert classes == ["cat", "dog|hound|puppy", "zebra"]
    assert indices == [[0, 1], [1, 2]]


def test_a_synonym_that_is_another_class_leaves_that_class_alone():
    assert joined(vocabulary("dress|person", "person"))[0] == ["dress", "person"]
    assert joined(vocabulary("person"), vocabulary("dress|Person"))[0] == ["person", "dress"]


def test_a_synonym_of_several_classes_is_left_out():
    assert joined(vocabulary("wine glass|glass|cup"), vocabulary("flute|glass"))[0] == ["wine glass|cup", "flute"]


def test_classes_that_chain_by_their_synonyms_stay_apart():
    chain = vocabulary("dining table|chair", "chair", "table|dining table")
    assert joined(chain) == (["dining table", "chair", "table"], [[0, 1, 2]])


@pytest.mark.parametrize("seed", range(20))
def test_no_name_occurs_twice_and_every_class_keeps_its_first(seed):
    rng = np.random.default_rng(seed)
    names = np.array([f"{word}{case}" for word in "abcdefgh" for case in ("", "x")])
    given = [
        vocabulary(*("|".join(rng.permutation(names)[: rng.integers(1, 5)]) for _ in range(rng.integers(1, 6))))
        for _ in range(rng.integers(1, 5))
    ]
    both, indices = join_vocabularies(given)
    assert len(set(both.synonyms)) == len(both.synonyms)
    for one, own in zip(given, indices, strict=True):
        assert [both.names[place] for place in own] == list(one.names)
    assert set(both.names) == {name for one in given for name in one.names}


def test_nothing_cannot_be_joined():
    with pytest.raises(VocabularyError, match="no classes"):
        join_vocabularies([])
