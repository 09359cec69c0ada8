"""Classes that were seen in training and classes that were not, for means of each kind apart."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskadapter.errors import VocabularyError
from maskadapter.system.error_text import did_you_mean
from maskadapter.vocabulary.vocabulary import Vocabulary, builtin_names

PAPER = (74, 76)
"""Seen and unseen classes of A-150 that the paper's rows imply. The split was made by hand and is not published."""


@dataclass(frozen=True)
class Split:
    """name: how the split was made, for reports. seen: K flags.

    It groups classes for means and nothing else: the ensemble's alpha and beta always go by shared synonyms.
    """

    name: str
    seen: tuple[bool, ...]

    @property
    def counts(self) -> tuple[int, int]:
        """Number of seen and of unseen classes."""
        return sum(self.seen), len(self.seen) - sum(self.seen)

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """``seen`` and ``unseen``: (K,) bool."""
        seen = np.array(self.seen, dtype=bool)
        return {"seen": seen, "unseen": ~seen}

    @classmethod
    def of(cls, split: str | Path, vocabulary: Vocabulary, trained_on: str | tuple[str, ...] | None = None) -> "Split":
        """The split that a user's word means.

        split: ``synonyms``, a class is seen where it shares a synonym with the list, or the names, that the model was
            ``trained_on``; the name of a built-in list, to be taken instead of that one; or a text file of the names of
            the seen classes, in the notation of ``Vocabulary.of``. A name means the classes that are shown by it, or,
            where none is, those that have it among their synonyms.
        Raises VocabularyError for a name in the file that is none of the classes, and where nothing says what the model
        was trained on.
        """
        train = trained_on if split == "synonyms" else split
        if train is None:
            raise VocabularyError(
                "split 'synonyms' needs the list that the model was trained on, which these predictions do not tell: "
                f"give its name instead ({', '.join(builtin_names())})"
            )
        if isinstance(train, tuple):
            return cls("synonyms shared with the model's own training list", vocabulary.seen(Vocabulary.of(train)))
        if str(train) in builtin_names():
            return cls(f"synonyms shared with {train}", vocabulary.seen(Vocabulary.builtin(str(train))))
        if not Path(train).is_file():
            hint = did_you_mean(
                str(train), ["synonyms", *builtin_names()], otherwise="give synonyms, a built-in list or a text file"
            )
            raise VocabularyError(f"no split '{train}', and no such file: {hint}")
        seen = [False] * len(vocabulary)
        for name in Vocabulary.of(Path(train)).synonyms:
            shown = [index for index, other in enumerate(vocabulary.names) if other == name]
            meant = shown or [index for index, names in enumerate(vocabulary.classes) if name in names]
            if not meant:
                hint = did_you_mean(name, vocabulary.synonyms, otherwise="give names of the classes")
                raise VocabularyError(f'{train} names "{name}", which is none of the classes; {hint}')
            for index in meant:
                seen[index] = True
        return cls(f"names in {Path(train).name}", tuple(seen))
