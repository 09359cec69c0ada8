"""What the results of segmenting and of classifying have in common: they are lists of segments that show themselves."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, overload

import numpy as np
from PIL import Image

from maskadapter.results import display
from maskadapter.results.detections import detections_of
from maskadapter.results.overlay import draw_overlay
from maskadapter.results.result_segment import ResultSegment, masks_of, painted
from maskadapter.types import Size
from maskadapter.vocabulary import Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from supervision import Detections


class Result(ABC):
    """A sequence of segments of one image.

    image: (H, W, 3) uint8 RGB. vocabulary: the K classes. file_name: the image's, where it came from a file."""

    image: np.ndarray
    vocabulary: Vocabulary
    file_name: str

    @property
    @abstractmethod
    def segments(self) -> tuple[ResultSegment, ...]:
        """The segments, in the order of their ids."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K display names; label i stands for ``class_names[i]``."""
        return self.vocabulary.names

    @property
    def size(self) -> Size:
        """(height, width) of the image and of every mask."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool: the mask of every segment, made anew at each access."""
        return masks_of(self.segments, self.size)

    def __len__(self) -> int:
        return len(self.segments)

    def __bool__(self) -> bool:
        return True  # a result without segments is a result

    def __iter__(self) -> Iterator[ResultSegment]:
        return iter(self.segments)

    @overload
    def __getitem__(self, index: int) -> ResultSegment: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ResultSegment, ...]: ...
    def __getitem__(self, index: int | slice) -> ResultSegment | tuple[ResultSegment, ...]:
        return self.segments[index]

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        number = f"{len(self)} segment{'' if len(self) == 1 else 's'}"
        found = ": ".join(filter(None, [number, display.counted(self)]))
        return f"{type(self).__name__}({self.file_name}, {self.size[1]} x {self.size[0]} pixels, {found})"

    def label_map(self) -> np.ndarray:
        """(H, W) int32: the class of every pixel, -1 = none; where segments overlap, that of the smallest."""
        return painted(self.segments, self.size).labels

    def overlay(self) -> Image.Image:
        """The image with its segments tinted, outlined and named, at its own size."""
        return draw_overlay(self.image, self.label_map(), self.class_names)

    def _repr_png_(self) -> bytes:
        return display.png(self.overlay())

    def show(self) -> None:
        """Show the overlay: in a notebook below the cell, elsewhere in the system's image viewer. Raises
        MaskAdapterError where there is no viewer."""
        display.show(self.overlay())

    def plot(self) -> "Figure":
        """The segments drawn over the image as a figure of matplotlib, with a legend of the classes and their numbers
        of segments. Raises MaskAdapterError where matplotlib is missing (``pip install 'maskadapter[plot]'``)."""
        return display.plot(self.image, self.label_map(), self.class_names, self.segments)

    def to_supervision(self) -> "Detections":
        """The segments that have a class as ``supervision.Detections``, with ``class_name`` in ``data``. Raises
        MaskAdapterError where supervision is missing (``pip install 'maskadapter[label]'``)."""
        return detections_of([segment for segment in self.segments if segment.label >= 0], self.size)
