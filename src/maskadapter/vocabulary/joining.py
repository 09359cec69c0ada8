"""Joining vocabularies that name some of the same classes."""

from collections import Counter
from collections.abc import Sequence

from maskadapter.vocabulary.vocabulary import Vocabulary, comparable


def join_vocabularies(vocabularies: Sequence[Vocabulary]) -> tuple[Vocabulary, list[list[int]]]:
    """Join vocabularies into one in which every name belongs to one class, in the order of first mention.

    Classes with the same first name become one, with the synonyms of all. A synonym that is the first name of another
    class, or that several classes have, is left out: it would score both alike, whatever is in the image. Joining the
    classes instead would chain chair, dining table and table to one. Names are compared as text encoders read them,
    without regard to case and white space.

    Returns the joined vocabulary and, for each given one, the index in it of each of its classes.
    Raises VocabularyError where there are no vocabularies.
    """
    merged, is_thing = dict[str, dict[str, str]](), dict[str, bool]()
    for vocabulary in vocabularies:
        for synonyms, thing in zip(vocabulary.classes, vocabulary.is_thing, strict=True):
            first = comparable(synonyms[0])
            names = merged.setdefault(first, {})
            for name in synonyms:
                names.setdefault(comparable(name), name)
            is_thing.setdefault(first, thing)
    owners = Counter(key for names in merged.values() for key in names)
    classes = tuple(
        tuple(name for key, name in names.items() if key == first or owners[key] == 1)
        for first, names in merged.items()
    )
    places = {first: place for place, first in enumerate(merged)}
    indices = [[places[comparable(name)] for name in vocabulary.names] for vocabulary in vocabularies]
    return Vocabulary(classes, tuple(is_thing.values())), indices
