"""The known data sets: names, folders, archives and label values of the data sets that the paper uses."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml
from pydantic import TypeAdapter

from maskadapter.data.dataset import Task
from maskadapter.data.formats.semantic_folder import values_from
from maskadapter.data.layout import Split
from maskadapter.errors import DatasetError
from maskadapter.system.error_text import did_you_mean
from maskadapter.types import UNLABELED
from maskadapter.vocabulary import Vocabulary


@dataclass(frozen=True)
class Archive:
    """One published file of a data set, as a rule a zip or tar archive.

    file: its name, with a * for several alike. address: its URL, of several that of their list; "" where the download
    requires a registration. members: what is unpacked: a folder in the archive (ends in a slash) or a file -> its place
    below the data set's own folder; empty for a file that is not an archive and is kept as it is. inner: archives
    inside the archive, with their members. endings: from folders only files whose names end in one of these are
    unpacked.
    """

    file: str
    address: str
    members: Mapping[str, str]
    inner: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    endings: tuple[str, ...] = ("",)

    @property
    def is_plain(self) -> bool:  # a single file, not an archive
        return not self.members and not self.inner

    def restricted_to(self, paths: Collection[str]) -> "Archive | None":
        """Keep only the members that unpack to any of ``paths``, below the data set's own folder; None if none does."""

        def kept(members: Mapping[str, str]) -> dict[str, str]:
            return {
                inside: place
                for inside, place in members.items()
                if any(f"{path}/".startswith(f"{place}/") or place.startswith(f"{path}/") for path in paths)
            }

        if self.is_plain:
            return self if self.file in paths else None
        inner = {name: rows for name, members in self.inner.items() if (rows := kept(members))}
        found = replace(self, members=kept(self.members), inner=inner)
        return found if found.members or found.inner else None


class LabelValues(NamedTuple):
    """Pixel values of label maps. first: value of the first class, others count up. ignored: stand for no class."""

    first: int
    ignored: tuple[int, ...]


@dataclass(frozen=True)
class KnownSet:
    """Facts about one published data set.

    name: also the name of its built-in vocabulary. folder: its own folder below the folder of all data sets. splits:
    "train" and "val". archives: the published files; registration: the page where a user has to register first, if any.
    instances: folder of instance labels, from which panoptic and instance ground truth is made. shared: folders that it
    shares with other data sets. label_values: of its label maps, where they count up. free_text: it has no vocabulary.
    """

    name: str
    title: str
    task: Task
    folder: str
    splits: Mapping[str, Split]
    archives: tuple[Archive, ...]
    registration: str = ""
    instances: str = ""
    shared: tuple[str, ...] = ()
    label_values: LabelValues | None = None
    free_text: bool = False


_FOLDER = files("maskadapter.data")
_TABLE = yaml.safe_load((_FOLDER / "known_sets.yaml").read_text(encoding="utf-8"))

KNOWN: Mapping[str, KnownSet] = TypeAdapter(dict[str, KnownSet]).validate_python(
    {name: {"name": name, **facts} for name, facts in _TABLE.items()}
)
"""All known data sets by name."""


def known_set(name: str) -> KnownSet:
    """Return the known data set of that name. Raises DatasetError for an unknown name."""
    if name not in KNOWN:
        hint = did_you_mean(name, KNOWN, otherwise=f"choose from {', '.join(KNOWN)}, or give a file that ends in .yaml")
        raise DatasetError(f'unknown data set "{name}"; {hint}')
    return KNOWN[name]


@cache
def category_ids(name: str) -> dict[int, int]:
    """Map category ids of ade20k-847, coco-panoptic, coco-stuff, lvis-v1 or pascal-context-59 to class indices."""
    if name == "lvis-v1":  # numbered without gaps, in the order of the vocabulary
        return {number + 1: number for number in range(1203)}
    table = json.loads((_FOLDER / "category_ids.json").read_text(encoding="utf-8"))
    return {number: index for index, number in enumerate(table[name])}


def label_values(name: str) -> dict[int, int]:
    """Map the pixel values of a semantic data set's label files to class indices or UNLABELED."""
    if values := KNOWN[name].label_values:
        return values_from(values.first, len(Vocabulary.builtin(name)), values.ignored)
    # COCO-Stuff: a value is the category id minus 1; ids that COCO reserved and never used are unlabeled, like 255.
    classes = category_ids(name)
    reserved = dict.fromkeys([*range(max(classes)), 255], UNLABELED)
    return reserved | {number - 1: index for number, index in classes.items()}
