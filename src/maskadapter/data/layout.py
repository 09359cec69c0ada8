"""The file layout of a known data set, and which of its files are missing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from maskadapter.data.formats.coco_json import file_of, group_by_image, in_file, read_annotations
from maskadapter.data.formats.image_label_pairs import Pair, pairs_named
from maskadapter.errors import DatasetError
from maskadapter.system.text_files import read_text

_MAX_LISTING = 50_000_000  # bytes of a text file of image names


@dataclass(frozen=True)
class Split:
    """The layout of one split: paths relative to the data set's own folder, with slashes.

    count: official number of images. images, labels: folders; labels is "" where the listing holds the labels.
    listing: names the images: a text file with one name a line, a JSON file in COCO's format, or a folder (of images or
    labels) whose files are taken. suffix: suffix of the label files.
    """

    count: int
    images: str
    labels: str
    listing: str
    suffix: str = ".png"


@dataclass(frozen=True)
class Gap:
    """Something missing. path: file or folder, relative to the data set's own. text: describes it in messages."""

    path: str
    text: str


def too_few_images(place: str, found: int, count: int) -> Gap:
    """Return the gap of a file or folder with fewer images than the official split."""
    return Gap(place, f"{place} has {found:,} of {count:,} images")


def missing_files(folder: str, names: Sequence[str]) -> Gap:
    """Return the gap of one or more missing files: the message names the first and counts the others."""
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return Gap(folder, f"{folder} lacks {names[0]}{more}")


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split in one folder, the data set's own."""

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
        """Image and label files in the order of the listing, which is not a JSON file.

        Raises DatasetError for a listing that cannot be read.
        """
        if self.listing.is_file():
            names = read_text(self.listing, _MAX_LISTING, DatasetError, "list of images").split()
        else:
            suffix = self.split.suffix if self.split.listing == self.split.labels else ".jpg"
            names = sorted(path.stem for path in self.listing.glob(f"*{suffix}"))
        return pairs_named(names, self.images, self.labels, self.split.suffix)

    def absent(self) -> list[Gap]:
        """Return which of listing, image folder and label folder do not exist."""
        paths = dict.fromkeys(path for path in (self.split.listing, self.split.images, self.split.labels) if path)
        return [Gap(path, f"{path} is missing") for path in paths if not (self.folder / path).exists()]

    def gaps(self) -> list[Gap]:
        """Return everything that the official split has and this folder lacks, file by file; nothing is decoded."""
        if gaps := self.absent():
            return gaps
        files = self._listed()
        listed = len({image for image, _ in files})
        if listed < self.split.count:
            gaps.append(too_few_images(self.split.listing, listed, self.split.count))
        # Folders are listed once: a stat call for every file takes minutes on a network drive.
        held = {parent: _names_in(parent) for parent in {path.parent for pair in files for path in pair}}
        missing: dict[Path, list[str]] = {}
        for path in dict.fromkeys(path for pair in files for path in pair):
            if path.name not in held[path.parent]:
                missing.setdefault(path.parent, []).append(path.name)
        gaps += [missing_files(parent.relative_to(self.folder).as_posix(), names) for parent, names in missing.items()]
        return gaps

    def _listed(self) -> list[Pair]:
        if not self.split.listing.endswith(".json"):
            return self.pairs
        rows = group_by_image(read_annotations(self.listing), self.listing)
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
    """Find a data set's own folder: ``root / folder``, or ``root`` itself where it already is that folder or inside it.

    folder: its path below the folder of all data sets, such as "VOCdevkit/VOC2012". inside: paths that the folder
    contains, by which it is recognized under any name.
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
