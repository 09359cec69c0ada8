"""The file layout of a known data set, and which of its files are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from maskadapter.data.formats.coco_json import file_of, group_by_image, in_file, read_annotations
from maskadapter.data.formats.image_label_pairs import Pair
from maskadapter.errors import DatasetError
from maskadapter.system.text_files import read_text

_MAX_LISTING = 50_000_000  # bytes of a text file of image names


@dataclass(frozen=True)
class Split:
    """The layout of one split: paths relative to the data set's own folder, with slashes.

    count: official number of images. images, labels: folders; labels is "" where the listing holds the labels. listing:
    text file with a name a line, JSON file in COCO's format, or folder of images or labels. suffix: of label files.
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


def missing_path(path: str) -> Gap:
    return Gap(path, f"{path} is missing")


def too_few_images(place: str, found: int, count: int) -> list[Gap]:
    """Return the gap of a file or folder where it has fewer images than the official ``count``."""
    return [Gap(place, f"{place} has {found:,} of {count:,} images")] if found < count else []


def missing_files(folder: str, names: Sequence[str]) -> list[Gap]:
    """Return the gap of missing files, if any: the message names the first and counts the others."""
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return [Gap(folder, f"{folder} lacks {names[0]}{more}")] if names else []


class SplitFiles:
    """The files of one split in one folder, the data set's own."""

    def __init__(self, folder: Path, split: Split) -> None:
        self.folder, self.split = folder, split
        self.listing, self.images, self.labels = folder / split.listing, folder / split.images, folder / split.labels

    def pairs(self) -> list[Pair]:
        """Pair images with labels, which may be missing, as listed. Raises DatasetError: an unreadable listing."""
        if self.listing.is_file():
            names = read_text(self.listing, _MAX_LISTING, DatasetError, "list of images").split()
        else:
            suffix = self.split.suffix if self.split.listing == self.split.labels else ".jpg"
            names = sorted(path.stem for path in self.listing.glob(f"*{suffix}"))
        return [(self.images / f"{name}.jpg", self.labels / f"{name}{self.split.suffix}") for name in names]

    def absent(self) -> list[Gap]:
        """Return which of listing, image folder and label folder do not exist."""
        paths = dict.fromkeys(path for path in (self.split.listing, self.split.images, self.split.labels) if path)
        return [missing_path(path) for path in paths if not (self.folder / path).exists()]

    def gaps(self) -> list[Gap]:
        """Return everything that the official split has and this folder lacks, file by file; nothing is decoded."""
        if gaps := self.absent():
            return gaps
        pairs = self._listed() if self.split.listing.endswith(".json") else self.pairs()
        gaps = too_few_images(self.split.listing, len({image for image, _ in pairs}), self.split.count)
        named: dict[Path, dict[str, None]] = {}
        for path in chain.from_iterable(pairs):
            named.setdefault(path.parent, {})[path.name] = None
        # Folders are listed once: a stat call for every file takes minutes on a network drive.
        for parent, names in named.items():
            held = {path.name for path in parent.iterdir()} if parent.is_dir() else set()
            place = parent.relative_to(self.folder).as_posix()
            gaps += missing_files(place, [name for name in names if name not in held])
        return gaps

    def _listed(self) -> list[Pair]:
        """Return the pairs in a JSON; an image comes with itself where the JSON holds the labels, or has none."""
        pairs = []
        with in_file(self.listing):
            for entry, annotations in group_by_image(read_annotations(self.listing), self.listing):
                image = self.images / file_of(entry)
                names = [str(row["file_name"]) for row in annotations] if self.split.labels else []
                pairs += [(image, self.labels / name) for name in names] or [(image, image)]
        return pairs
