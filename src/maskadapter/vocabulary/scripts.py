"""Class names in scripts that English text encoders do not know."""

import logging
import unicodedata

from maskadapter.system.warn_once import warn_once
from maskadapter.vocabulary.vocabulary import Vocabulary

_log = logging.getLogger(__name__)


def warn_of_scripts(vocabulary: Vocabulary) -> None:
    """Log the classes that a text encoder of Latin script alone does not know, once; the built-in lists are English."""
    if vocabulary.name is None and (names := in_other_scripts(vocabulary)):
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        problem = "the text encoder knows Latin script alone, and these classes match nothing"
        warn_once(_log, f"{problem}: {shown}; name them in English")


def in_other_scripts(vocabulary: Vocabulary) -> list[str]:
    """Return the displayed names of the classes without a synonym in Latin script: Cyrillic, Chinese, Arabic ..."""
    return [synonyms[0] for synonyms in vocabulary.classes if not any(map(_is_latin, synonyms))]


def _is_latin(name: str) -> bool:
    letters = [unicodedata.name(sign, "").startswith("LATIN") for sign in name if sign.isalpha()]
    return 2 * sum(letters) >= len(letters)  # "5 µm" has none of its own
