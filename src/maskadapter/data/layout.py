"""Where the files of a known data set lie, and which of them are missing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from maskadapter.data.formats.annotations import by_image, file_of, in_file, read_annotations
from maskadapter.data.formats.pairs import Pair, pairs_named
from maskadapter.errors import DatasetError


@dataclass(frozen=True)
class Split:
    """One split of a data set: paths below the set's own folder, with slashes.

    count: images that it has officially. images, labels: folders; labels is "" where the listing holds them.
    listing: what names the images: a text file with a name on each line, COCO's JSON, or a folder (of images or of
    labels), whose files are taken. suffix: how a label file ends.
    """

    count: int
    images: str
    labels: str
    listing: str
    suffix: str = ".png"


@dataclass(frozen=True)
class Gap:
    """Something that is not there. path: the file or folder below the set's own. text: what a message says of it."""

    path: str
    text: str


@dataclass(frozen=True)
class SplitFiles:
    """A split in a folder."""

    folder: Path
    split: Split

    @property
    def listing(self) -> Path:
        return self.folder / self.split.listing

    @property
    def images(self) -> Path:
        return self.folder / self.split.images

    @property
    def labels(self) -> Path:
        return self.folder / self.split.labels

    @cached_property
    def pairs(self) -> list[Pair]:
        """Images and labels, sorted as listed; JSON lists have none. Raises DatasetError for a listing that cannot
        be read."""
        if self.listing.is_file():
            try:
                names = self.listing.read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError) as error:
                raise DatasetError(f"cannot read the names in {self.listing}: {error}") from None
        else:
            suffix = self.split.suffix if self.split.listing == self.split.labels else ".jpg"
            names = sorted(path.stem for path in self.listing.glob(f"*{suffix}"))
        return pairs_named(names, self.images, self.labels, self.split.suffix)

    def absent(self) -> list[Gap]:
        """What of listing, images and labels is not there at all."""
        paths = dict.fromkeys(path for path in (self.split.listing, self.split.images, self.split.labels) if path)
        return [Gap(path, f"{path} is missing") for path in paths if not (self.folder / path).exists()]

    def gaps(self) -> list[Gap]:
        """Everything that is missing against the official set, file by file; nothing is decoded."""
        if gaps := self.absent():
            return gaps
        files = self._listed()
        listed = len({image for image, _ in files})
        if listed < self.split.count:
            gaps.append(Gap(self.split.listing, f"{self.split.listing} has {listed:,} of {self.split.count:,} images"))
        # Folders are listed once: asking for every file costs minutes on a network drive.
        held = {parent: _names_in(parent) for parent in {path.parent for pair in files for path in pair}}
        missing: dict[Path, list[str]] = {}
        for path in dict.fromkeys(path for pair in files for path in pair):
            if path.name not in held[path.parent]:
                missing.setdefault(path.parent, []).append(path.name)
        for parent, names in missing.items():
            place = parent.relative_to(self.folder).as_posix()
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            gaps.append(Gap(place, f"{place} lacks {names[0]}{more}"))
        return gaps

    def _listed(self) -> list[Pair]:
        if not self.split.listing.endswith(".json"):
            return self.pairs
        rows = by_image(read_annotations(self.listing), self.listing)
        files = []
        with in_file(self.listing):
            for entry, annotations in rows:
                image = self.images / file_of(entry)
                # Without a folder of labels the JSON itself holds them.
                names = [str(row["file_name"]) for row in annotations] if self.split.labels else []
                files += [(image, self.labels / name) for name in names] or [(image, image)]
        return files


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def own_folder(root: Path, folder: str, inside: Iterable[str]) -> Path:
    """A set's own folder: ``root / folder``, or ``root`` itself where it already is that folder or lies inside of it.

    folder: as it is called below the folder of all data sets, "VOCdevkit/VOC2012". inside: paths by which the folder is
    known, whatever it is called.
    """
    parts = PurePosixPath(folder).parts
    candidates = [root.joinpath(*parts[depth:]) for depth in range(len(parts) + 1)]
    paths = list(inside)
    found = Counter({place: sum((place / path).exists() for path in paths) for place in candidates})
    best, number = found.most_common(1)[0]
    if number:
        return best
    name = root.resolve().name
    return root.joinpath(*parts[parts.index(name) + 1 :]) if name in parts else candidates[0]
