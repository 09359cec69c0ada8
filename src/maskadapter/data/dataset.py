"""What every data set is: images with their truth, by number."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from maskadapter.types.target import Target
from maskadapter.vocabulary.vocabulary import Vocabulary

Task = Literal["semantic", "panoptic", "instance"]
"""What is labeled: every pixel's class; every pixel's segment; instances alone, which may overlap."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and its truth.

    image: (H, W, 3) uint8 RGB, as it is shown (EXIF applied). target: at the image's size. name: its file name,
    unique within the data set; what a message calls it.
    """

    image: np.ndarray
    target: Target
    name: str


class Dataset(Protocol):
    """A finite list of samples. Reading one is deterministic and changes nothing: workers may do it in parallel.

    name: for reports ("ade20k-150"). vocabulary: what ``Target.classes`` index. task: which metrics apply.
    """

    name: str
    vocabulary: Vocabulary
    task: Task

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file, for an image without a label or a label that does not fit."""
        ...
