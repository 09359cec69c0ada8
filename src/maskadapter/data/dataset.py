"""The interface of a data set: images with their ground truth, by index."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from maskadapter.types import Target
from maskadapter.vocabulary import Vocabulary

Task = Literal["semantic", "panoptic", "instance"]
"""What the ground truth labels: the class of every pixel; the segment of every pixel; instances, which may overlap."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and its ground truth.

    image: (H, W, 3) uint8 RGB, upright (EXIF orientation applied). target: the ground truth at the image's size. name:
    file name of the image, unique within the data set; messages use it. vocabulary: the classes that
    ``target.classes`` indexes where the data set is ``FreeText`` and the image has any; else None.
    """

    image: np.ndarray
    target: Target
    name: str
    vocabulary: Vocabulary | None = None


class Dataset(Protocol):
    """A finite list of samples that any class can implement; it is not subclassed.

    Reading a sample is deterministic and has no side effects, so that workers can read in parallel. name: for reports
    ("ade20k-150"). vocabulary: the classes that ``Target.classes`` indexes. task: decides which metrics apply.
    """

    name: str
    task: Task

    @property
    def vocabulary(self) -> Vocabulary: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Read a sample. Raises DatasetError, naming the file: no label, or one that does not fit the image."""


@runtime_checkable
class FreeText(Protocol):
    """A data set whose classes are free text: every sample brings its own, and ``vocabulary`` raises DatasetError."""

    free_text: Literal[True]


@runtime_checkable
class KnowsClasses(Protocol):
    """A data set that knows which classes are in an image without reading it."""

    def classes_of(self, index: int) -> Collection[int]:
        """Return the indices of the classes in an image."""
