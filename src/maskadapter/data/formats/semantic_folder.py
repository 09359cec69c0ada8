"""Images with label maps: the class of every pixel as its value."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.fingerprint import fingerprint_of
from maskadapter.data.formats.pairs import Pair, read_pair
from maskadapter.errors import DatasetError
from maskadapter.types.target import UNLABELED, Target
from maskadapter.vocabulary.vocabulary import Vocabulary

_NOT_LISTED = -2


class SemanticFolder:
    """A semantic data set of image and label files.

    pairs: the files. values: for every value that a label file may hold, the index of its class or UNLABELED; any
    other value is an error. folder: sample names are the images' paths below it.
    """

    task: Task = "semantic"

    def __init__(
        self, name: str, vocabulary: Vocabulary, pairs: Sequence[Pair], values: Mapping[int, int], folder: Path
    ) -> None:
        self.name, self.vocabulary, self.pairs, self.folder = name, vocabulary, pairs, folder
        self._class_of = np.full(max(values) + 1, _NOT_LISTED, dtype=np.int32)
        self._class_of[list(values)] = list(values.values())

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def fingerprint(self) -> str:
        """Of the label files: another one where labels may have changed."""
        return fingerprint_of((label for _, label in self.pairs))

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file, for a missing label, one of another size, RGB, or an unknown value."""
        path, label = self.pairs[index]
        image, values = read_pair(path, label)
        if values.ndim != 2:
            raise DatasetError(f"{label} is an RGB image: one channel, whose values are the classes, is needed")
        last = len(self._class_of) - 1
        classes = self._class_of[values.clip(0, last)]
        classes[(values < 0) | (values > last)] = _NOT_LISTED
        strange = values[classes == _NOT_LISTED]
        if strange.size:
            raise DatasetError(
                f"{label} has the value {strange[0]} at {strange.size:,} pixels, which none of the "
                f"{len(self.vocabulary)} classes of {self.name} has: correct the label, or list the value as ignored"
            )
        return Sample(image, Target.of_labels(classes), path.relative_to(self.folder).as_posix())


def values_from(first: int, classes: int, ignored: Sequence[int] = ()) -> dict[int, int]:
    """Values of labels whose classes are numbered one after the other: ``first`` is the first class."""
    return {first + number: number for number in range(classes)} | dict.fromkeys(ignored, UNLABELED)
