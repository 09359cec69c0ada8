"""Classes that a client named. Their text is never the name of a file."""

from collections.abc import Sequence

from maskadapter.errors import VocabularyError
from maskadapter.vocabulary import Vocabulary, builtin_names

_MOST_NAMES = 500
_LONGEST = 200  # letters


def classes_in(text: str) -> Vocabulary:
    """Read classes in one text: ``"cat, sofa|couch"``, without commas also ``"cat.sofa|couch"``, as X-AnyLabeling
    separates them; or the name of a built-in list. Raises VocabularyError."""
    if text.strip() in builtin_names():
        return Vocabulary.builtin(text.strip())
    parts = text.split("," if "," in text else ".")
    return sent_classes([part.split("|") for part in parts if part.strip()])


def sent_classes(classes: Sequence[Sequence[str]]) -> Vocabulary:
    """Classes, each a sequence of synonyms, as a vocabulary. Raises VocabularyError: none, empty or long names, more
    than 500."""
    given = [[stripped for name in names if (stripped := name.strip())] for names in classes]
    names = [name for group in given for name in group]
    if len(names) > _MOST_NAMES:
        raise VocabularyError(f"{len(names):,} class names came: at most {_MOST_NAMES} are taken")
    if (longest := max(map(len, names), default=0)) > _LONGEST:
        raise VocabularyError(f"a class name has {longest:,} letters: at most {_LONGEST} are taken")
    if not names:
        raise VocabularyError("no classes came: names such as cat, sofa are needed")
    return Vocabulary.of(given)
