"""A class given by examples: masks of images that show it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from maskadapter.errors import VocabularyError


@dataclass(frozen=True, eq=False)
class Example:
    """A class by name and by masks that show it. It stands wherever a class name does, and may be pickled.

    name: the class's, synonyms after ``|``. masks: pairs (image, masks): an image as ``read_image`` takes it, or an
        ``EncodedImage``, and one or more masks of it as ``mask_parts`` takes them, bool (H, W) for one. Every mask is
        an example, none may be empty: they are read when a model encodes the class, once for each model.
    text: whether the name says something to a text encoder. False for a name such as "gizmo": the examples decide.
    Raises VocabularyError for an empty name, no pairs, or what is not a pair."""

    name: str
    masks: Sequence[tuple[Any, Any]] = field(repr=False)
    text: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not all(self.synonyms):
            raise VocabularyError(f'an example has the name {self.name!r}: a class name such as "cat" is needed')
        needed = "a list of pairs (image, mask) is needed"
        if not isinstance(self.masks, Sequence) or isinstance(self.masks, str):
            raise VocabularyError(f'example "{self.name}" got masks of type {type(self.masks).__name__}: {needed}')
        if not self.masks:
            raise VocabularyError(f'example "{self.name}" has no masks: {needed}; without one give the name alone')
        for number, pair in enumerate(self.masks, start=1):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise VocabularyError(f'example "{self.name}", number {number} is not a pair: {needed}')
        object.__setattr__(self, "masks", tuple((image, mask) for image, mask in self.masks))

    @property
    def synonyms(self) -> tuple[str, ...]:
        """The names, the displayed one first."""
        return tuple(name.strip() for name in self.name.split("|"))


def split_examples(classes: Any) -> tuple[Any, tuple[Example, ...]]:
    """Split classes that a user gives into what ``Vocabulary.of`` takes, with names in place of examples, and these."""
    if isinstance(classes, Example):
        classes = [classes]
    if isinstance(classes, str) or not isinstance(classes, Sequence | Iterator):
        return classes, ()
    entries = list(classes)
    names = [entry.synonyms if isinstance(entry, Example) else entry for entry in entries]
    return names, tuple(entry for entry in entries if isinstance(entry, Example))
