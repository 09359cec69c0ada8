"""The result of classifying given masks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.io import categories, image_entry
from maskadapter.results.coco_annotations import segment_annotations
from maskadapter.results.mask_table import mask_table
from maskadapter.results.overlay import check_label_image, label_image
from maskadapter.results.result import Result
from maskadapter.results.result_segment import ResultSegment, filtered
from maskadapter.results.saving import MASK_ENDINGS, check_formats, write_file
from maskadapter.system.paths import user_path
from maskadapter.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Result):
    """The classes of N given masks, a sequence of segments: one for each mask, in their order, with exactly its pixels;
    they may overlap. Plain data that can be pickled, without the model.

    An empty mask has no class: its label is -1, its score NaN, its row of ``probs`` NaN, and its ``top`` has nothing.

    image: (H, W, 3) uint8 RGB, upright. vocabulary: the K classes. classified: the N segments, as ``segments``.
    file_name: the image's, where it came from a file; saved files are named after it.
    """

    image: np.ndarray
    vocabulary: Vocabulary
    classified: tuple[ResultSegment, ...]
    file_name: str = "image.png"

    @property
    def segments(self) -> tuple[ResultSegment, ...]:
        """One segment for each mask; its id is the mask's index + 1."""
        return self.classified

    @property
    def probs(self) -> np.ndarray:
        """(N, K) float32: the probabilities of ``class_names``; each row sums to 1, that of an empty mask is NaN."""
        return np.array([segment.probs for segment in self], np.float32).reshape(-1, len(self.vocabulary))

    @property
    def labels(self) -> np.ndarray:
        """(N,) int: the best class of every mask; -1 for an empty one."""
        return np.array([segment.label for segment in self], int)

    @property
    def scores(self) -> np.ndarray:
        """(N,) float32, 0 to 1: the probability of the best class; NaN for an empty mask."""
        return np.array([segment.score for segment in self], np.float32)

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """The ``count`` most probable classes of each of the N masks with their probabilities, best first; none for an
        empty mask."""
        return [segment.top(count) for segment in self]

    def filter(self, score: float = 0.0, classes: Any = None) -> "Classification":
        """The result with some of its masks alone, which keep their ids, and without the empty ones. score: 0 to 1, the
        least. classes: whatever ``Vocabulary.of`` takes; None keeps all classes. Raises MaskAdapterError for a
        name that no class has."""
        return replace(self, classified=filtered(self, self.vocabulary, score, classes))

    def summary(self, top: int = 5) -> dict[str, Any]:
        """The result in numbers, ready for JSON: every mask with its ``top`` most probable classes."""
        return {
            "file_name": self.file_name,
            "height": self.size[0],
            "width": self.size[1],
            "masks": [
                {
                    "id": segment.id,
                    "name": segment.class_name,
                    "is_thing": segment.is_thing,
                    "area": segment.area,
                    "box": list(segment.box),
                    "score": segment.score if segment.area else None,  # JSON has no NaN
                    "classes": [{"name": name, "probability": value} for name, value in segment.top(top)],
                }
                for segment in self
            ],
        }

    def save(
        self, folder: str | Path, formats: str | Sequence[str] = ("overlay", "csv"), stem: str | None = None
    ) -> list[Path]:
        """Write results into ``folder``, made if needed, and return their paths: ``stem``, by default the image's name,
        and what ``MASK_ENDINGS`` has for the format.

        ``overlay``: the image with its masks drawn over it. ``labels``: value = index + 1 and 0 = none, 8 bit with a
        palette (16 bit without one above 255 classes), and the classes as JSON; where masks overlap, the class of the
        smallest. ``coco``: COCO instances with run-length masks and scores, one for each mask that is not empty, under
        its id; category ids: index + 1. ``csv``: a line for each mask, see ``mask_table``. ``json``: see ``summary``.
        Raises MaskAdapterError for an unknown format and a folder that cannot be written.
        """
        formats, folder = check_formats(formats, tuple(MASK_ENDINGS)), user_path(folder, MaskAdapterError)
        if "labels" in formats:
            check_label_image(len(self.vocabulary))
        stem = stem or Path(self.file_name).stem
        return [
            write_file(folder / f"{stem}{ending}", content)
            for format in filter(formats.__contains__, MASK_ENDINGS)
            for ending, content in zip(MASK_ENDINGS[format], self._contents(format), strict=True)
        ]

    def _contents(self, format: str) -> tuple[Any, ...]:
        """An image, a text or an object for JSON for each of the format's files."""
        match format:
            case "overlay":
                return (self.overlay(),)
            case "labels":
                values = {str(value): name for value, name in enumerate(self.class_names, start=1)}
                return label_image(self.label_map(), self.class_names), values
            case "coco":
                return (
                    {
                        "images": [image_entry(self.file_name, self.size)],
                        "annotations": segment_annotations(self),
                        "categories": categories(self.class_names, self.vocabulary.is_thing),
                    },
                )
            case "csv":
                return (mask_table(self, self.file_name),)
            case _:
                return (self.summary(),)
