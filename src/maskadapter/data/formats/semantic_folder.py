"""Semantic data sets: images with label maps, in which a pixel's value stands for its class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.formats.image_label_pairs import Pair, fingerprint_of, read_pair
from maskadapter.errors import DatasetError
from maskadapter.types import UNLABELED, Target
from maskadapter.vocabulary import Vocabulary

_NOT_LISTED = -2


class SemanticFolder:
    """A semantic data set: image files with one label map each.

    values: pixel value of a label map -> class index or UNLABELED; any other value is an error. folder: sample names
    are the image paths relative to it. description: the YAML file that states the values, if any.
    """

    task: Task = "semantic"

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        pairs: Sequence[Pair],
        values: Mapping[int, int],
        folder: Path,
        description: Path | None = None,
    ) -> None:
        self.name, self.vocabulary, self.pairs, self.folder = name, vocabulary, pairs, folder
        self.description = description
        self._class_of = np.full(max(values) + 1, _NOT_LISTED, dtype=np.int32)
        self._class_of[list(values)] = list(values.values())

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def fingerprint(self) -> str:
        """A hash of the label files' sizes and modification times: it changes when the labels may have changed."""
        return fingerprint_of((label for _, label in self.pairs))

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file: a label that is missing, of another size, RGB, or of unknown values."""
        path, label = self.pairs[index]
        image, values = read_pair(path, label)
        if values.ndim != 2:
            raise DatasetError(f"{label} is an RGB image: one channel, whose values are the classes, is needed")
        last = len(self._class_of) - 1
        values = values.astype(np.int64)  # NumPy 2.0 clips no 8 bits to a number of 16
        classes = self._class_of[values.clip(0, last)]
        classes[(values < 0) | (values > last)] = _NOT_LISTED
        strange = values[classes == _NOT_LISTED]
        if strange.size:
            value = int(strange.max())
            pixels = int((strange == value).sum())
            problem = f"{label} has the value {value} at {pixels:,} pixels, which stands for none of the"
            raise DatasetError(f"{problem} {len(self.vocabulary)} classes of {self.name}: {self._advice(value)}")
        return Sample(image, Target.of_labels(classes), path.relative_to(self.folder).as_posix())

    def _advice(self, value: int) -> str:
        """What to do about a value that stands for nothing."""
        if self.description is None:
            return "correct the label map"
        known = np.flatnonzero(self._class_of != _NOT_LISTED)
        classes = np.flatnonzero(self._class_of >= 0)
        if value == 0 and classes[0] == 1:
            return f"if 0 is the background, write ignore: [0, 255] in {self.description}"
        if classes[0] == 0 and value == classes[-1] + 1:
            first = f"if 0 is the background, write first_value: 1 and ignore: [0, 255] in {self.description}"
            return f"{first}, or a line null before the first class; else add the class that is missing"
        listed = f"values {classes[0]} to {classes[-1]} are classes, and ignored are"
        ignored = ", ".join(str(one) for one in known.tolist() if self._class_of[one] < 0) or "none"
        return f"{listed} {ignored}; correct the label map, or classes, first_value or ignore in {self.description}"


def values_from(first: int, classes: int, ignored: Sequence[int] = ()) -> dict[int, int]:
    """Map pixel values from ``first`` to the indices of so many ``classes``, and ``ignored`` ones to UNLABELED."""
    return {first + number: number for number in range(classes)} | dict.fromkeys(ignored, UNLABELED)
