"""Choose the masks that a figure shows: the largest of those that are given or found in each image."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.io import ImageFile, find_image_files, mask_parts, read_image
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.paper.figures.page import check_no_input
from maskadapter.results import masks_of
from maskadapter.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShownMasks:
    """The masks of one image. photo: (H, W, 3) uint8. masks: (N, H, W) bool. labels: of the masks."""

    photo: np.ndarray
    masks: np.ndarray
    labels: list[str]


class MaskChoice:
    """The images of a figure, and how their masks are chosen: arguments as ``figure4`` takes them.

    most: images that fit into the figure. output: its file, none of the images or masks. Raises MaskAdapterError:
    neither masks nor classes, nothing found, too many images, mistakes in the first image and its masks, at which most
    mistakes show before a model is loaded.
    """

    def __init__(
        self,
        images: str | Path | Sequence[str | Path],
        masks: Any,
        classes: Any,
        background: Any,
        top: int,
        most: int,
        output: Path,
    ) -> None:
        if masks is None and classes is None:
            raise MaskAdapterError("neither masks nor classes: give masks, or classes to segment the images into")
        self.vocabulary = None if classes is None else Vocabulary.of(classes)
        self.found = find_image_files(images)
        check_no_input(output, [masks, *(image.source for image in self.found)])
        if masks is not None and len(self.found) > 1 and Path(str(masks)).suffix.lower() != ".json":
            raise MaskAdapterError(f"{len(self.found)} images need their masks in one COCO file that ends in .json")
        if len(self.found) > most:
            raise MaskAdapterError(f"{len(self.found)} images were given; at most {most} fit into a figure")
        self.masks, self.background, self.top = masks, background, top
        self._largest_given(self.found[0], read_image(self.found[0].source))

    def of(self, segmenter: OpenVocabularySegmenter) -> Iterator[ShownMasks]:
        """Yield the images that have masks. segmenter: finds them where none are given, and classifies them."""
        encoded, empty = None if self.vocabulary is None else segmenter.encode_text(self.vocabulary), True
        for number, image in enumerate(self.found, start=1):
            logger.info("image %d of %d", number, len(self.found))
            photo = read_image(image.source)
            masks, labels = self._masks_and_labels(segmenter, image, photo, encoded)
            if labels:
                empty = False
                yield ShownMasks(photo, masks, labels)
        if empty:
            raise MaskAdapterError("there are no masks to show: none were given, or none of the classes was found")

    def _masks_and_labels(
        self,
        segmenter: OpenVocabularySegmenter,
        image: ImageFile,
        photo: np.ndarray,
        encoded: EncodedVocabulary | None,
    ) -> tuple[np.ndarray, list[str]]:
        """Return the largest masks of an image that are not empty, and a label for each."""
        given = self._largest_given(image, photo)
        if given is None:
            assert encoded is not None
            result = segmenter.segment(photo, encoded, background=self.background)
            largest = sorted(result, key=lambda segment: -segment.area)[: self.top]
            return masks_of(largest, result.size), [segment.class_name for segment in largest]
        masks, numbers = given
        if encoded is None or not len(masks):
            return masks, [f"mask {number + 1}" for number in numbers]
        return masks, [encoded.vocabulary.names[label] for label in segmenter.classify(photo, masks, encoded).labels]

    def _largest_given(self, image: ImageFile, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The largest given masks of an image that are not empty, (n, H, W) bool, and their places among all."""
        if self.masks is None:
            return None
        name = image.source.name if isinstance(image.source, Path) else None
        size, start = photo.shape[:2], 0
        held, areas, numbers = np.zeros((0, *size), bool), np.zeros(0, int), np.zeros(0, int)
        for part in mask_parts(self.masks, size, name):
            areas = np.concatenate([areas, np.count_nonzero(part, axis=(1, 2))])
            numbers = np.concatenate([numbers, start + np.arange(len(part))])
            order = np.argsort(-areas, kind="stable")[: self.top]
            order = order[areas[order] > 0]
            chosen = [held[one] if one < len(held) else part[one - len(held)] for one in order]
            held, areas, numbers = np.stack(chosen) if chosen else held, areas[order], numbers[order]
            start += len(part)
        return held, numbers
