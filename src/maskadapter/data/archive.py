"""One published archive of a data set: its address, and what is unpacked from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Archive:
    """One published file of a data set, as a rule a zip or tar archive.

    file: its name. address: its URL, "" where the download requires a registration. members: what is unpacked: a folder
    in the archive (ends in a slash) or a file -> its place below the data set's own folder; empty for a file that is
    not an archive and is kept as it is. inner: archives inside the archive, with their members. endings: from folders
    only files whose names end in one of these are unpacked.
    """

    file: str
    address: str
    members: Mapping[str, str]
    inner: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    endings: tuple[str, ...] = ("",)

    @property
    def is_plain(self) -> bool:
        """Whether it is a single file, not an archive."""
        return not self.members and not self.inner

    def restricted_to(self, paths: Collection[str]) -> "Archive | None":
        """Keep only the members that unpack to any of ``paths``, below the data set's own folder; None if none does."""

        def kept(members: Mapping[str, str]) -> dict[str, str]:
            return {inside: place for inside, place in members.items() if any(_within(path, place) for path in paths)}

        if self.is_plain:
            return self if self.file in paths else None
        inner = {name: rows for name, members in self.inner.items() if (rows := kept(members))}
        found = replace(self, members=kept(self.members), inner=inner)
        return found if found.members or found.inner else None


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/") or place.startswith(f"{path}/")
