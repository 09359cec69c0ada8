"""Partition classes into seen and unseen ones, for means of each group."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from maskadapter.errors import VocabularyError
from maskadapter.system.error_text import did_you_mean
from maskadapter.vocabulary import Vocabulary, builtin_names


@dataclass(frozen=True)
class Partition:
    """The classes that training saw, and those that it did not, as groups for means. name: how the partition was made,
    for reports. seen: K flags. The ensemble's alpha and beta always go by shared synonyms."""

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
    def of(
        cls, partition: str | Path, vocabulary: Vocabulary, trained_on: str | tuple[str, ...] | None = None
    ) -> "Partition":
        """Make the partition that a user's text describes.

        partition: ``synonyms``, a class is seen where it shares one with the list, or the names, that the model was
            ``trained_on``; a built-in list in place of that list; ``paper-rule``, for ade20k-150 alone, a class is seen
            where its supercategory is a COCO category; or a text file of the seen classes, in the notation of
            ``Vocabulary.of``: a name there means the classes of that first name, else those with that synonym.
        Raises VocabularyError for a name in the file that no class has, for ``synonyms`` without ``trained_on``, and
        for ``paper-rule`` with other classes.
        """
        if partition == "paper-rule":
            return cls._by_supercategory(vocabulary)
        train = trained_on if partition == "synonyms" else partition
        if train is None:
            raise VocabularyError(
                "partition 'synonyms' needs the list that the model was trained on, which is unknown for these "
                f"predictions: give its name instead ({', '.join(builtin_names())})"
            )
        if isinstance(train, tuple):
            return cls("synonyms shared with the model's own training list", vocabulary.seen(Vocabulary.of(train)))
        if str(train) in builtin_names():
            return cls(f"synonyms shared with {train}", vocabulary.seen(Vocabulary.builtin(str(train))))
        if not Path(train).is_file():
            otherwise = "give synonyms, paper-rule, a built-in list or a text file"
            hint = did_you_mean(str(train), ["synonyms", "paper-rule", *builtin_names()], otherwise)
            raise VocabularyError(f"no partition '{train}', and no such file: {hint}")
        seen: set[int] = set()
        for name in Vocabulary.of(Path(train)).synonyms:
            first = [index for index, other in enumerate(vocabulary.names) if other == name]
            indices = first or [index for index, names in enumerate(vocabulary.classes) if name in names]
            if not indices:
                hint = did_you_mean(name, vocabulary.synonyms, otherwise="give names of the classes")
                raise VocabularyError(f'{train} has the name "{name}", which no class has; {hint}')
            seen |= {*indices}
        return cls(f"names in {Path(train).name}", tuple(index in seen for index in range(len(vocabulary))))

    @classmethod
    def _by_supercategory(cls, vocabulary: Vocabulary) -> "Partition":
        categories = _coco_categories()
        if sorted(vocabulary.names) != sorted(categories):
            raise VocabularyError(
                f"partition 'paper-rule' is for the {len(categories)} classes of ade20k-150, and these are others: "
                "give synonyms, a built-in list or a text file"
            )
        made = "ADE20K supercategories with a COCO category (the paper's list, unpublished, has 74 seen and 76 unseen)"
        return cls(made, tuple(categories[name] is not None for name in vocabulary.names))


@cache
def _coco_categories() -> dict[str, str | None]:
    """Map each class of ade20k-150 to the COCO category that it or its supercategory is, None where there is none."""
    content = json.loads(Path(__file__).with_name("a150_supercategories.json").read_text(encoding="utf-8"))
    return {name: row["coco"] for name, row in content["classes"].items()}
