"""Data sets in COCO's panoptic format: a JSON file of segments, and panoptic PNGs of their ids."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.formats.coco_json import AnnotatedImages, class_of, file_of
from maskadapter.data.formats.image_label_pairs import read_pair
from maskadapter.errors import DatasetError
from maskadapter.io import panoptic_ids
from maskadapter.types import UNLABELED, Target
from maskadapter.vocabulary import Vocabulary


class CocoPanoptic(AnnotatedImages):
    """A panoptic data set in COCO's format: a JSON file, a folder of images and a folder of panoptic PNGs.

    index: the JSON file. images, labels: folders of the images and panoptic PNGs that it lists. classes: category id ->
    index in the vocabulary. content: content of the JSON, where the caller has read it already.
    The constructor reads the JSON; images and PNGs are read on access.
    Raises DatasetError for a JSON that is missing or not in COCO's panoptic format, an image without a label, an
    unknown category.
    """

    task: Task = "panoptic"

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        index: Path,
        images: Path,
        labels: Path,
        classes: Mapping[int, int],
        content: Mapping[str, Any] | None = None,
    ) -> None:
        def row_of(image: dict[str, Any], annotations: list[dict[str, Any]]) -> tuple[Any, ...]:
            if len(annotations) != 1:
                raise DatasetError(f"{index} has {len(annotations)} labels for {file_of(image)}; one is needed")
            segments = [
                (class_of(segment["category_id"], classes, index), int(segment["id"]), bool(segment["iscrowd"]))
                for segment in annotations[0]["segments_info"]
            ]
            return file_of(image), str(annotations[0]["file_name"]), segments

        self.labels = labels
        super().__init__(name, vocabulary, index, images, content, row_of)

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file: a PNG that is missing, of another size, or has an unlisted segment."""
        file, label, segments = self._rows[index]
        path = self.labels / label
        image, values = read_pair(self.images / file, path)
        if values.ndim != 3:
            raise DatasetError(f"{path} is not a panoptic PNG: RGB with id = R + 256 G + 65536 B is needed")
        listed = {0: UNLABELED} | {segment[1]: number for number, segment in enumerate(segments)}
        ids, places = np.unique(panoptic_ids(values), return_inverse=True)
        if strange := [number for number in ids.tolist() if number not in listed]:
            raise DatasetError(f"{path} has a segment {strange[0]} that its JSON does not list")
        segment_ids = np.array([listed[number] for number in ids.tolist()], dtype=np.int32)[places]
        target = Target(
            np.array([segment[0] for segment in segments], dtype=np.int64),
            np.array([segment[2] for segment in segments], dtype=bool),
            segment_ids.reshape(values.shape[:2]),
        )
        return Sample(image, target, file)
