"""Class names with their synonyms, given by the user or built in: ``lists/`` holds a JSON file for each data set, the
class names with which published models were evaluated."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path

from maskadapter.errors import VocabularyError
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.warn_once import warn_once
from maskadapter.vocabulary.class_files import classes_in, means_a_file, split

# Source: FC-CLIP's VILD prompts in their order; the published text embeddings depend on which end in a full stop.
_SIZES = ("small", "medium", "large")
TEMPLATES: tuple[str, ...] = (
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    *(f"a photo of a {size} {{}}." for size in _SIZES),
    *(f"This is a photo of a {size} {{}}." for size in _SIZES),
    *(f"There is a {size} {{}} in the scene." for size in _SIZES),
)

# The lists that state which classes are things, most trusted first: where two disagree on a name, the earlier decides.
_THING_LISTS = ("coco-panoptic", "coco-stuff", "ade20k-150", "pascal-voc-20", "cityscapes", "lvis-v1")

_FOLDER = files("maskadapter") / "vocabulary" / "lists"
_MOST_SHOWN = 5  # names in a line of the log

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Vocabulary:
    """K classes, each with one or more synonymous names.

    classes: K tuples of synonyms; the first of each is the displayed name. A model scores every synonym and keeps the
        best. Two classes may share a name: some of the published lists do.
    is_thing: K flags; instances of things are counted one by one (cat), stuff is not counted (sky). name: of the
        built-in list, None for other classes.
    Raises VocabularyError when there are no classes, a name is empty, or the number of flags is not K.
    """

    classes: tuple[tuple[str, ...], ...]
    is_thing: tuple[bool, ...]
    name: str | None = None

    def __post_init__(self) -> None:
        if not self.classes:
            raise VocabularyError('no classes: name at least one, for example "cat, sofa|couch, wall"')
        for number, synonyms in enumerate(self.classes, start=1):
            if not synonyms or not all(synonyms):
                raise VocabularyError(f"class {number} of {len(self.classes)} has an empty name")
            for name in synonyms:
                if any("\ud800" <= sign <= "\udfff" for sign in name):
                    raise VocabularyError(f"class {number} is not valid text ({name!a}): UTF-8 is needed")
        if len(self.is_thing) != len(self.classes):
            raise VocabularyError(f"is_thing has {len(self.is_thing)} flags for {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The K displayed names."""
        return tuple(synonyms[0] for synonyms in self.classes)

    @property
    def synonyms(self) -> tuple[str, ...]:
        """All S synonyms in one tuple, class after class."""
        return tuple(synonym for synonyms in self.classes for synonym in synonyms)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The number of synonyms of each of the K classes."""
        return tuple(len(synonyms) for synonyms in self.classes)

    def seen(self, train: "Vocabulary") -> tuple[bool, ...]:
        """Return K flags: whether a class shares a synonym, as an exact string, with any class of the training list."""
        known = set(train.synonyms)
        return tuple(not known.isdisjoint(synonyms) for synonyms in self.classes)

    @classmethod
    def of(
        cls, classes: "Vocabulary | str | Path | Sequence[str | Sequence[str]]", things: Iterable[str] | None = None
    ) -> "Vocabulary":
        """Read the classes that a user gives.

        classes: one of
            - class names, ``"cat, sofa|couch, wall"``: a comma or a new line separates classes, ``|`` synonyms;
            - the name of a built-in list, ``"ade20k-150"`` (see ``builtin_names``), or a Vocabulary, returned as it is;
            - a text file in the same notation, usually one class a line; lines that start with ``#`` are comments; or a
              YAML, JSON or CSV file of classes, see ``classes_in``;
            - a sequence of classes, each a sequence of synonyms or a string with ``|`` (a comma stays in the name).
        things: names of the classes that are things, all others are stuff. Without it the built-in lists decide, by the
            first name of a class that they contain; a class that they do not contain is a thing.

        White space around names is removed, and so are empty names between two commas. Classes whose first names differ
        by case or white space alone are merged, which is logged: text encoders take them for the same; and so are names
        that several classes share. Raises VocabularyError for no classes, empty names in a sequence, a file without
        class names, a name in ``things`` that no class has.
        """
        if isinstance(classes, Vocabulary):
            vocabulary = classes
        elif isinstance(classes, str) and classes.strip() in builtin_names():
            vocabulary = cls.builtin(classes.strip())
        else:
            groups = _merged(_groups(classes))
            vocabulary = cls(groups, tuple(_is_thing(group) for group in groups))
        return vocabulary if things is None else replace(vocabulary, is_thing=_flags(vocabulary, things))

    @classmethod
    def of_names(
        cls, classes: str | Sequence[str | Sequence[str]], things: str | Iterable[str] | None = None
    ) -> "Vocabulary":
        """As ``of``, for what a stranger sends: opens no file, whatever the text is; "gone.yaml" is the name of a
        class. things: names, or one text of them."""
        if isinstance(classes, str) and classes.strip() not in builtin_names():
            if _means_a_list(classes.strip()):
                raise VocabularyError(_unknown_list(classes.strip()))
            classes = split(classes)
        given = [name for group in split(things) for name in group] if isinstance(things, str) else things
        return cls.of(classes, given)

    @classmethod
    def builtin(cls, name: str) -> "Vocabulary":
        """Return the built-in list of that name, exactly as the published models use it; flags that the data set does
        not have follow from the names as in ``of``. Raises VocabularyError for an unknown name."""
        if name not in builtin_names():
            raise VocabularyError(_unknown_list(name))
        return _builtin(name)


@cache
def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in lists, sorted."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@cache
def _read_list(name: str) -> list[dict]:
    """Read a list: ``{"names": [...], "thing": bool}`` for each class; no ``thing`` where the data set has no flags."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))["classes"]


@cache
def _builtin(name: str) -> Vocabulary:
    rows = _read_list(name)
    is_thing = tuple(row.get("thing", _is_thing(row["names"])) for row in rows)
    return Vocabulary(tuple(tuple(row["names"]) for row in rows), is_thing, name)


@cache
def _known_things() -> dict[str, bool]:
    """Map lower-case names to whether they are things. A first name in any list outweighs a synonym in an earlier."""
    rows = [row for name in reversed(_THING_LISTS) for row in reversed(_read_list(name))]
    synonyms = {name.lower(): row["thing"] for row in rows for name in row["names"]}
    return synonyms | {row["names"][0].lower(): row["thing"] for row in rows}


def _is_thing(synonyms: Sequence[str]) -> bool:
    known = _known_things()
    return next((known[name.lower()] for name in synonyms if name.lower() in known), True)


def _flags(vocabulary: Vocabulary, things: Iterable[str]) -> tuple[bool, ...]:
    given = [name for group in _groups(things) for name in group] if isinstance(things, str) else things
    wanted = {comparable(name): name for name in given}
    known = {comparable(name) for name in vocabulary.synonyms}
    if unknown := sorted(name for key, name in wanted.items() if key not in known):
        hint = did_you_mean(unknown[0], vocabulary.synonyms, otherwise="give names of the classes")
        raise VocabularyError(f'things names "{unknown[0]}", which is none of the classes; {hint}')
    return tuple(not wanted.keys().isdisjoint(map(comparable, synonyms)) for synonyms in vocabulary.classes)


def comparable(name: str) -> str:
    """What text encoders make of a name before they read it."""
    return " ".join(name.lower().split())


def _merged(groups: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Join groups with the same first name, in the order of first mention, without repeated synonyms."""
    merged, spellings = dict[str, dict[str, str]](), dict[str, list[str]]()
    for number, group in enumerate(groups, start=1):
        if not group or not all(group):
            raise VocabularyError(f"class {number} has an empty name")
        spellings.setdefault(comparable(group[0]), []).append(group[0])
        names = merged.setdefault(comparable(group[0]), {})
        for name in group:
            names.setdefault(comparable(name), name)
    if repeated := [", ".join(given) for given in spellings.values() if len(given) > 1]:
        warn_once(_log, f"the same class given more than once counts once: {_shortened(repeated)}")
    owners = dict[str, list[str]]()
    for names in merged.values():
        for key in names:
            owners.setdefault(key, []).append(next(iter(names.values())))
    if shared := [f"{key} ({', '.join(classes)})" for key, classes in owners.items() if len(classes) > 1]:
        warn_once(_log, f"names that several classes share, which they score alike: {_shortened(shared)}")
    return tuple(tuple(names.values()) for names in merged.values())


def _shortened(parts: Sequence[str]) -> str:
    more = f"; and {len(parts) - _MOST_SHOWN} more" if len(parts) > _MOST_SHOWN else ""
    return "; ".join(parts[:_MOST_SHOWN]) + more


def _groups(classes: object) -> list[tuple[str, ...]]:
    """Return the synonym groups in a string, a file or a sequence; names are stripped and may repeat."""
    if isinstance(classes, str) and not means_a_file(classes):
        if _means_a_list(classes.strip()):
            raise VocabularyError(_unknown_list(classes.strip()))
        return split(classes)
    if isinstance(classes, str | Path):
        classes = classes_in(classes)
    if isinstance(classes, Mapping) and classes and all(type(number) is int for number in classes):
        classes = [classes[number] for number in sorted(classes)]  # ultralytics' model.names
    if not isinstance(classes, Iterable) or isinstance(classes, Mapping | Set):
        needed = "class names, a list's name or a sequence, whose order is that of the classes, is needed"
        raise VocabularyError(f"classes is of type {type(classes).__name__}; {needed}")
    groups = []
    for entry in classes:
        names = entry.split("|") if isinstance(entry, str) else entry
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise VocabularyError(f"class {entry!r} is neither a string nor a sequence of strings")
        groups.append(tuple(name.strip() for name in names))
    return groups


def _means_a_list(text: str) -> bool:
    """Return whether a text is a misspelled name of a list ("ade20k", "lvis-v2"), which would otherwise be a class."""
    near = any(sign in text for sign in "-0123456789") and get_close_matches(text, builtin_names(), 1, cutoff=0.8)
    return bool(near) or text in {name.split("-")[0] for name in builtin_names()}


def _unknown_list(name: str) -> str:
    return f'no built-in list "{name}"; {did_you_mean(name, builtin_names())}'
