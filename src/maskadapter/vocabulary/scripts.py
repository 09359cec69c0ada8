"""Class names in scripts that English text encoders do not know."""

import unicodedata

from maskadapter.vocabulary.vocabulary import Vocabulary


def in_other_scripts(vocabulary: Vocabulary) -> list[str]:
    """Return the displayed names of the classes without a synonym in Latin script: Cyrillic, Chinese, Arabic ..."""
    return [synonyms[0] for synonyms in vocabulary.classes if not any(map(_is_latin, synonyms))]


def _is_latin(name: str) -> bool:
    letters = [unicodedata.name(sign, "").startswith("LATIN") for sign in name if sign.isalpha()]
    return 2 * sum(letters) >= len(letters)  # "5 µm" has none of its own
