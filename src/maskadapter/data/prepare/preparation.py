"""Preparing a known data set: archives are found or downloaded, unpacked, converted, and their files counted."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskadapter.data.catalog import Archive, KnownSet, known_set
from maskadapter.data.layout import Gap, SplitFiles
from maskadapter.data.opening import check_split, folder_of
from maskadapter.data.prepare import ade20k, grand, pascal
from maskadapter.data.prepare.archives import FETCH_AGAIN, download_archive, find_archive, unpack
from maskadapter.errors import DatasetError
from maskadapter.system.offline import is_offline
from maskadapter.system.paths import user_path

logger = logging.getLogger(__name__)

# Of each data set that is converted: what finds missing source files of a split, what writes its files from them.
_CONVERSIONS: dict[str, tuple[Callable[[Path, str], list[Gap]], Callable[[Path, str], None]]] = {
    "ade20k-847": (ade20k.source_gaps, ade20k.convert),
    "pascal-context-59": (pascal.source_gaps_59, pascal.convert_59),
    "pascal-context-459": (lambda folder, split: pascal.sources_459(folder, split).gaps(), pascal.convert_459),
}


def prepare(name: str, root: str | Path, splits: Sequence[str] | None = None, *, offline: bool = False) -> Path:
    """Download, unpack and convert a known data set for ``open_dataset``, and return its own folder.

    Archives in ``root`` and in the data set's folder are used; missing ones that have a public URL are downloaded. A
    second call skips finished steps, so it resumes where an earlier one stopped. Archives are kept and may be removed
    afterwards. What was found is logged, one info line for each split.

    name: one of ``maskadapter.data.catalog.KNOWN``. root: the data set's own folder, or the folder that contains it.
    splits: None for all. offline: download nothing.
    Raises DatasetError where the data set is incomplete in the end: what is missing and where to get it. A data set
    with fewer images than the official one can be opened nevertheless.
    """
    known = known_set(name)
    splits = tuple(known.splits) if splits is None else splits
    for split in splits:
        check_split(known, split)
    place = user_path(root, DatasetError)
    work = _Preparation(known, place, folder_of(known, place), offline or is_offline())
    missing = {split: work.complete_split(split) for split in splits}
    listed = "; ".join(f"{split}: {', '.join(lines)}" for split, lines in missing.items() if lines)
    if listed:
        raise DatasetError(f"{name} in {work.folder} is incomplete: {listed}")
    return work.folder


@dataclass(frozen=True)
class _Preparation:
    """One call of ``prepare``. Its methods return what is missing in the end, in lines for the message."""

    known: KnownSet
    root: Path
    folder: Path
    offline: bool

    def complete_split(self, split: str) -> list[str]:
        """Fetch, unpack and convert the files of a split."""
        layout = self.known.splits[split]
        if self.known.free_text:
            return grand.complete(self.known, self.folder, self._places)
        find_gaps = SplitFiles(self.folder, layout).gaps
        if self.known.name not in _CONVERSIONS:
            missing = self._fill(find_gaps)
        elif missing := [gap.text for gap in find_gaps()]:
            source_gaps, convert = _CONVERSIONS[self.known.name]
            sources = self._fill(lambda: source_gaps(self.folder, split))
            convert(self.folder, split)
            missing = [gap.text for gap in find_gaps()]
            missing += sources if missing else []
        if not missing:
            logger.info("%s: %s images, complete", split, f"{layout.count:,}")
            if self.known.instances:
                self._complete_instances(split)
        return missing

    def _complete_instances(self, split: str) -> None:
        """Fetch instance labels. Semantic evaluation does not need them: missing ones are logged, not raised."""
        layout = self.known.splits[split]
        labels = replace(layout, labels=f"{self.known.instances}/{Path(layout.labels).name}")
        try:
            missing = self._fill(SplitFiles(self.folder, labels).gaps)
        except DatasetError as error:
            missing = [str(error)]
        state = f"no instance labels: {'; '.join(missing)}" if missing else "instance labels, complete"
        logger.info("%s: %s", split, state)

    def _fill(self, find_gaps: Callable[[], list[Gap]]) -> list[str]:
        """Unpack the archives that fill the gaps; the lines returned also name archives that would fill the rest."""
        gaps, tried = find_gaps(), list[Archive]()
        while gaps:
            paths = [gap.path for gap in gaps]
            parts = (archive.restricted_to(paths) for archive in self.known.archives)
            archive = next((part for part in parts if part is not None and part not in tried), None)
            if archive is None:
                advice = [self._advice(part) for part in tried if part.restricted_to(paths)]
                return [*(gap.text for gap in gaps), *dict.fromkeys(advice)]
            tried.append(archive)
            path = self._found(archive)
            if path is None and archive.address and not self.offline:
                path = download_archive(archive, self.root)
            if path is not None:
                unpack(archive, path, self.folder)
                gaps = find_gaps()  # an unpacked listing may name more files that are needed
        return []

    def _found(self, archive: Archive) -> Path | None:
        return find_archive(archive, self._places)

    @property
    def _places(self) -> list[Path]:
        """Where a user may have put archives: beside the data sets, in the data set's own folder, above."""
        return [self.root, self.folder, *list(self.folder.parents)[:2]]

    def _advice(self, archive: Archive) -> str:
        """Say what to do about an archive that is missing or incomplete."""
        if path := self._found(archive):
            return f"{path.name} does not contain all of it: is it truncated? {FETCH_AGAIN}"
        if archive.address:
            return f"{archive.file} is needed, from {archive.address}: put it into {self.root}"
        steps = f"register at {self.known.registration}, put the file that you get into {self.root}"
        return f"{archive.file} is needed: {steps}, and run the same command again"
