"""Data sets in COCO's instance format, such as LVIS: masks as polygons or run lengths, which may overlap."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.formats.coco_json import AnnotatedImages, class_of, file_of
from maskadapter.data.formats.image_label_pairs import check_size
from maskadapter.errors import DatasetError, MaskError
from maskadapter.io import decode_segmentation, read_image
from maskadapter.types import Target
from maskadapter.vocabulary import Vocabulary


class CocoInstances(AnnotatedImages):
    """An instance data set in COCO's format: a JSON file and a folder of images.

    index: the JSON file. images: folder of the images that it lists. classes: category id -> index in the vocabulary.
    content: content of the JSON, where the caller has read it already.
    The constructor reads the JSON; images and masks are read on access. An image without annotations has no segments.
    Raises DatasetError for a JSON that is missing or not in COCO's format, and for an unknown category.
    """

    task: Task = "instance"

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        index: Path,
        images: Path,
        classes: Mapping[int, int],
        content: Mapping[str, Any] | None = None,
    ) -> None:
        def row_of(image: dict[str, Any], annotations: list[dict[str, Any]]) -> tuple[Any, ...]:
            segments = [
                (
                    class_of(annotation["category_id"], classes, index),
                    bool(annotation.get("iscrowd", 0)),  # LVIS has no crowds
                    annotation.get("id"),
                    annotation["segmentation"],
                )
                for annotation in annotations
            ]
            return file_of(image), int(image["height"]), int(image["width"]), segments

        super().__init__(name, vocabulary, index, images, content, row_of)

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file, for an image of another size than listed and for malformed masks."""
        file, height, width, segments = self._rows[index]
        image = read_image(self.images / file)
        check_size(self.images / file, image, f"its entry in {self.index}", (height, width))
        masks = np.zeros((len(segments), height, width), dtype=bool)
        for mask, (_, _, number, segmentation) in zip(masks, segments, strict=True):
            try:
                mask[:] = decode_segmentation(segmentation, (height, width))
            except MaskError as error:
                raise DatasetError(f"{self.index}, annotation {number} of {file}: {error}") from None
        target = Target(
            np.array([segment[0] for segment in segments], dtype=np.int64),
            np.array([segment[1] for segment in segments], dtype=bool),
            overlapping=masks,
        )
        return Sample(image, target, file)
