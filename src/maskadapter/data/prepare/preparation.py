"""Known data sets made ready: archives found or downloaded, unpacked, converted, counted."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskadapter.data.catalog import KnownSet, known_set
from maskadapter.data.layout import Gap, SplitFiles
from maskadapter.data.opening import folder_of
from maskadapter.data.prepare import ade20k as prepare_ade20k
from maskadapter.data.prepare import pascal as prepare_pascal
from maskadapter.data.prepare.archives import AGAIN, Archive, download_archive, find_archive, folders_to_search, unpack
from maskadapter.errors import DatasetError
from maskadapter.hub.download import is_offline

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Conversion:
    """gaps: what of the published files is missing for a split. convert: makes the split's files of them."""

    gaps: Callable[[Path, str], list[Gap]]
    convert: Callable[[Path, str], None]


_CONVERSIONS = {
    "ade20k-847": _Conversion(prepare_ade20k.source_gaps, prepare_ade20k.convert),
    "pascal-context-59": _Conversion(prepare_pascal.source_gaps_59, prepare_pascal.convert_59),
    "pascal-context-459": _Conversion(prepare_pascal.source_gaps_459, prepare_pascal.convert_459),
}


def prepare(
    name: str,
    root: str | Path,
    splits: Sequence[str] = ("train", "val"),
    *,
    offline: bool = False,
) -> Path:
    """Make a known data set ready for ``open_dataset``, and return its own folder.

    Archives are looked for in ``root`` and in the set's folder, and downloaded where they are not there and have a
    public address; what is unpacked already is used as it is. A second call skips what is done, so that it goes on
    where an earlier one stopped. Archives stay and may be removed afterwards.

    name: one of ``maskadapter.data.catalog.KNOWN``. root: the set's own folder, or the folder that holds it. offline:
        download nothing. What is found is logged.
    Raises DatasetError when the set is not whole in the end: what is missing and where to get it. What is there can be
    read all the same.
    """
    known = known_set(name)
    for split in splits:
        if split not in known.splits:
            raise DatasetError(f'{name} has no split "{split}"; there are {", ".join(known.splits)}')
    work = _Work(known, Path(root), folder_of(known, Path(root)), offline or is_offline())
    told = {split: work.split(split) for split in splits}
    missing = "; ".join(f"{split}: {', '.join(lines)}" for split, lines in told.items() if lines)
    if missing:
        raise DatasetError(f"{name} in {work.folder} is not whole: {missing}")
    return work.folder


@dataclass(frozen=True)
class _Work:
    """One call of ``prepare``."""

    known: KnownSet
    root: Path
    folder: Path
    offline: bool

    def split(self, split: str) -> list[str]:
        """Bring what a split needs, and return what is missing in the end."""
        layout = self.known.splits[split]
        told: list[str] = []
        if self.known.name in _CONVERSIONS:
            conversion = _CONVERSIONS[self.known.name]
            if SplitFiles(self.folder, layout).gaps():
                told = self._complete(lambda: conversion.gaps(self.folder, split))
                conversion.convert(self.folder, split)
            gaps = SplitFiles(self.folder, layout).gaps()
            told = [gap.text for gap in gaps] + told if gaps else []
        else:
            told = self._complete(lambda: SplitFiles(self.folder, layout).gaps())
        if not told:
            _log.info(f"{split}: {layout.count:,} images, complete")
            self._instances(split)
        return told

    def _instances(self, split: str) -> None:
        """Instance labels, which semantic evaluation does without: that they cannot be had is told and no error."""
        if not self.known.instances:
            return
        layout = self.known.splits[split]
        labels = replace(layout, labels=f"{self.known.instances}/{Path(layout.labels).name}")
        try:
            told = self._complete(lambda: SplitFiles(self.folder, labels).gaps())
        except DatasetError as error:
            told = [str(error)]
        _log.info(
            f"{split}: " + ("instance labels, complete" if not told else f"no instance labels: {'; '.join(told)}")
        )

    def _complete(self, find_gaps: Callable[[], list[Gap]]) -> list[str]:
        """Unpack what fills the gaps. Returns what is left, and what would fill it."""
        gaps, tried = find_gaps(), list[Archive]()
        while gaps:
            paths = [gap.path for gap in gaps]
            parts = (archive.giving(paths) for archive in self.known.archives)
            archive = next((part for part in parts if part is not None and part not in tried), None)
            if archive is None:
                told = [self._advice(part) for part in tried if part.giving(paths)]
                return [*(gap.text for gap in gaps), *dict.fromkeys(told)]
            tried.append(archive)
            path = find_archive(archive, list(folders_to_search(self.root, self.folder)))
            if path is None and archive.address and not self.offline:
                path = download_archive(archive, self.root)
            if path is not None:
                unpack(archive, path, self.folder)
                gaps = find_gaps()  # what arrived may name more that is needed
        return []

    def _advice(self, archive: Archive) -> str:
        """What to do about an archive that is not there, or that does not hold what it should."""
        path = find_archive(archive, list(folders_to_search(self.root, self.folder)))
        if path is not None:
            return f"{path.name} does not hold it all: is it cut? {AGAIN}"
        if archive.address:
            return f"{archive.file} is needed, from {archive.address}: put it into {self.root}"
        return (
            f"{archive.file} is needed: register at {self.known.registration}, put the file that you get into "
            f"{self.root}, and run the same command again"
        )
