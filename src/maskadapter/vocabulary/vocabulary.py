"""Class names with their synonyms, given by the user or built in: ``lists/`` holds a JSON file for each data set, the
class names with which published models were evaluated."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path

from maskadapter.errors import VocabularyError
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.text_files import read_text

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

BACKGROUND = "coco-stuff"
"""The built-in list that stands for everything else where a user gives only a few classes."""

# The lists that state which classes are things, most trusted first: where two disagree on a name, the earlier decides.
_THING_LISTS = ("coco-panoptic", "coco-stuff", "ade20k-150", "pascal-voc-20", "cityscapes", "lvis-v1")

_MAX_BYTES = 10_000_000  # of a file of classes
_FOLDER = files("maskadapter") / "vocabulary" / "lists"


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
            - a text file in the same notation, usually one class a line; lines that start with ``#`` are comments;
            - a sequence of classes, each a sequence of synonyms or a string with ``|`` (a comma stays in the name).
        things: names of the classes that are things, all others are stuff. Without it the built-in lists decide, by the
            first name of a class that they contain; a class that they do not contain is a thing.

        White space around names is removed, and so are empty names between two commas. Classes with the same first name
        are merged. Raises VocabularyError for no classes, empty names in a sequence, an unreadable file, a name in
        ``things`` that no class has.
        """
        if isinstance(classes, Vocabulary):
            vocabulary = classes
        elif isinstance(classes, str) and classes.strip() in builtin_names():
            vocabulary = cls.builtin(classes.strip())
        else:
            # Groups with the same first name become one, in the order of first mention, without repeated synonyms.
            merged: dict[str, dict[str, None]] = {}
            for number, group in enumerate(_groups(classes), start=1):
                if not group or not all(group):
                    raise VocabularyError(f"class {number} has an empty name")
                merged.setdefault(group[0], {}).update(dict.fromkeys(group))
            groups = tuple(tuple(names) for names in merged.values())
            vocabulary = cls(groups, tuple(_is_thing(group) for group in groups))
        return vocabulary if things is None else replace(vocabulary, is_thing=_flags(vocabulary, things))

    @classmethod
    def builtin(cls, name: str) -> "Vocabulary":
        """Return the built-in list of that name, exactly as the published models use it; flags that the data set does
        not have follow from the names as in ``of``. Raises VocabularyError for an unknown name."""
        if name not in builtin_names():
            raise VocabularyError(_unknown_list(name))
        rows = _read_list(name)
        is_thing = tuple(row.get("thing", _is_thing(row["names"])) for row in rows)
        return cls(tuple(tuple(row["names"]) for row in rows), is_thing, name)


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
def _known_things() -> dict[str, bool]:
    """Map lower-case names to whether they are things. A first name in any list outweighs a synonym in an earlier."""
    rows = [row for name in reversed(_THING_LISTS) for row in reversed(_read_list(name))]
    synonyms = {name.lower(): row["thing"] for row in rows for name in row["names"]}
    return synonyms | {row["names"][0].lower(): row["thing"] for row in rows}


def _is_thing(synonyms: Sequence[str]) -> bool:
    known = _known_things()
    return next((known[name.lower()] for name in synonyms if name.lower() in known), True)


def _flags(vocabulary: Vocabulary, things: Iterable[str]) -> tuple[bool, ...]:
    wanted = {name for group in _groups(things) for name in group} if isinstance(things, str) else set(things)
    if unknown := wanted.difference(vocabulary.synonyms):
        hint = did_you_mean(min(unknown), vocabulary.synonyms, otherwise="give names of the classes")
        raise VocabularyError(f'things names "{min(unknown)}", which is none of the classes; {hint}')
    return tuple(not wanted.isdisjoint(synonyms) for synonyms in vocabulary.classes)


def _groups(classes: object) -> list[tuple[str, ...]]:
    """Return the synonym groups in a string, a file or a sequence; names are stripped and may repeat."""
    if isinstance(classes, Path) or (isinstance(classes, str) and _means_a_file(classes)):
        return _split(read_text(Path(classes), _MAX_BYTES, VocabularyError, "file of classes"))
    if isinstance(classes, str):
        if _means_a_list(classes.strip()):
            raise VocabularyError(_unknown_list(classes.strip()))
        return _split(classes)
    if not isinstance(classes, Iterable):
        needed = "class names, a list's name or a sequence is needed"
        raise VocabularyError(f"classes is of type {type(classes).__name__}; {needed}")
    groups = []
    for entry in classes:
        names = entry.split("|") if isinstance(entry, str) else entry
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise VocabularyError(f"class {entry!r} is neither a string nor a sequence of strings")
        groups.append(tuple(name.strip() for name in names))
    return groups


def _split(text: str) -> list[tuple[str, ...]]:
    entries = [entry for line in text.splitlines() if not line.lstrip().startswith("#") for entry in line.split(",")]
    groups = (tuple(name.strip() for name in entry.split("|") if name.strip()) for entry in entries)
    return [group for group in groups if group]


def _means_a_file(text: str) -> bool:
    # A single name ("cat") never opens a file of that name: a path has a suffix or a folder.
    if "\n" in text or len(text) > 1000:
        return False
    path = Path(text)
    named_like_one = bool(re.fullmatch(r"\.[A-Za-z]\w{1,3}", path.suffix)) or path.is_absolute()
    try:
        return (named_like_one and not {",", "|"} & set(text)) or (len(path.parts) > 1 and path.is_file())
    except (OSError, ValueError):
        return False


def _means_a_list(text: str) -> bool:
    """Return whether a text is a misspelled name of a list ("ade20k", "lvis-v2"), which would otherwise be a class."""
    near = any(sign in text for sign in "-0123456789") and get_close_matches(text, builtin_names(), 1, cutoff=0.8)
    return bool(near) or text in {name.split("-")[0] for name in builtin_names()}


def _unknown_list(name: str) -> str:
    return f'no built-in list "{name}"; {did_you_mean(name, builtin_names())}'
