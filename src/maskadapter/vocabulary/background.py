"""Classes that compete with a user's, so that pixels which show none of them get none."""

from typing import Any

from maskadapter.vocabulary.vocabulary import Vocabulary

BACKGROUND = "auto"
"""The default: ``COMPETING`` for classes of one's own. None for a built-in list, which stands for a whole data set, and
none for masks that a user gives, each of which shall get a class."""
COMPETING = "coco-stuff"
"""The built-in list that stands for everything else where a user gives only a few classes."""


def competing_classes(vocabulary: Vocabulary, background: Any = BACKGROUND, given_masks: bool = False) -> Any:
    """Return the background classes of ``vocabulary``: a Vocabulary, an encoded one as it was given, or None for none.

    background: ``"auto"``, see ``BACKGROUND``; None or ``"none"``; else whatever ``Vocabulary.of`` takes, or an encoded
    vocabulary. given_masks: whether a user gives the masks, rather than a model. Raises VocabularyError as
    ``Vocabulary.of``.
    """
    word = background.strip().lower() if isinstance(background, str) else None
    if word == BACKGROUND:
        background = None if vocabulary.name or given_masks else COMPETING
    if background is None or word == "none":
        return None
    return background if hasattr(background, "vocabulary") else Vocabulary.of(background)


def background_line(vocabulary: Vocabulary, background: Any = BACKGROUND, given_masks: bool = False) -> str:
    """Say which background applies, as ``background: coco-stuff (171 classes)``. Arguments: see above."""
    competing = competing_classes(vocabulary, background, given_masks)
    if competing is None:
        chosen = isinstance(background, str) and background.strip().lower() == BACKGROUND
        reason = f"{vocabulary.name} is a built-in list" if vocabulary.name else "the masks were given"
        return "background: none" + f", {reason}" * chosen
    classes = getattr(competing, "vocabulary", competing)
    return f"background: {classes.name or 'your own'} ({len(classes)} classes)"
