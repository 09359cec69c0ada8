"""Data sets in COCO's formats: instances, as polygons or run lengths, and panoptic segments, as PNGs of their ids."""

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.formats.coco_json import (
    class_of,
    file_of,
    flag,
    group_by_image,
    id_of,
    in_file,
    read_annotations,
    size_of,
)
from maskadapter.data.formats.image_label_pairs import check_size, fingerprint_of, read_pair
from maskadapter.data.formats.listing import read_listing
from maskadapter.errors import DatasetError, MaskError
from maskadapter.io import decode_segmentation, panoptic_ids, read_image
from maskadapter.types import UNLABELED, Target
from maskadapter.vocabulary import Vocabulary


class PackedRecords:
    """A read-only sequence whose values are kept as bytes and unpacked on access.

    A million Python objects take several times the memory of their content and are slow to send to a worker; two arrays
    do neither. Only values that this process packed are ever unpacked, and no file holds them: pickle is safe here,
    and packs the polygons of LVIS ten times faster than JSON.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        rows = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in values]
        self._ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(rows), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]  # negative indices count from the end; IndexError outside
        start = int(self._ends[index - 1]) if index else 0
        return pickle.loads(self._bytes[start : int(self._ends[index])].tobytes())


class _CocoImages:
    """What COCO instance and panoptic data sets share: for each image a packed row and its classes.

    index: the JSON file. images: folder of the images that it lists. classes: category id -> index in the vocabulary.
    content: content of the JSON, where the caller has read it already. listing: a file that names the images to take.
    published: masks without a pixel are kept as they were published; in one's own data they are errors.
    """

    # (image, its annotations, classes) -> a tuple that ends in the list of segments: class, whether a crowd, id, ...
    _row: Callable[[dict[str, Any], list[dict[str, Any]], Mapping[Any, int]], Any]

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        index: Path,
        images: Path,
        classes: Mapping[Any, int],
        content: Mapping[str, Any] | None = None,
        listing: Path | None = None,
        published: bool = False,
    ) -> None:
        self.name, self.vocabulary, self.index, self.images = name, vocabulary, index, images
        self.published = published
        groups = group_by_image(content or read_annotations(index), index)
        with in_file(index):
            if listing is not None:
                groups = [
                    groups[place] for place in read_listing(listing, [file_of(image) for image, _ in groups], images)
                ]
            rows = [self._row(image, annotations, classes) for image, annotations in groups]
        self._rows = PackedRecords(rows)
        self._classes = PackedRecords(sorted({segment[0] for segment in row[-1]}) for row in rows)

    def __len__(self) -> int:
        return len(self._rows)

    def classes_of(self, index: int) -> list[int]:
        """Return the classes in an image, sorted, without reading the image."""
        return self._classes[index]

    @property
    def fingerprint(self) -> str:
        """A hash of the JSON file's size and modification time: it changes when the labels may have changed."""
        return fingerprint_of([self.index])


def _target(segments: list[Any], segment_ids: np.ndarray | None = None, masks: np.ndarray | None = None) -> Target:
    classes = np.array([segment[0] for segment in segments], dtype=np.int64)
    return Target(classes, np.array([segment[1] for segment in segments], dtype=bool), segment_ids, overlapping=masks)


class CocoInstances(_CocoImages):
    """An instance data set in COCO's format, such as LVIS: a JSON file and a folder of images. Masks may overlap.

    The constructor reads the JSON; images and masks are read on access. An image without annotations has no segments.
    Raises DatasetError for a JSON that is missing or not in COCO's format, and for an unknown category.
    """

    task: Task = "instance"

    def _row(self, image: dict[str, Any], annotations: list[dict[str, Any]], classes: Mapping[Any, int]) -> Any:
        file, segments = file_of(image), []
        for place, one in enumerate(annotations, start=1):
            number, segmentation = one.get("id", f"number {place:,}"), one.get("segmentation")
            if not segmentation:
                problem = "it has no segmentation; a box is not enough, polygons or run lengths are needed"
                raise DatasetError(f"{self.index}, annotation {number} of {file}: {problem}")
            # LVIS has no crowds
            segments.append((class_of(one, classes, self.index), flag(one, "iscrowd"), number, segmentation))
        return file, *size_of(image), segments

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file, for an image of another size than listed and for malformed masks."""
        file, height, width, segments = self._rows[index]
        image = read_image(self.images / file)
        check_size(self.images / file, image, f"its entry in {self.index}", (height, width))
        masks = np.zeros((len(segments), height, width), dtype=bool)
        for mask, (_, _, number, segmentation) in zip(masks, segments, strict=True):
            try:
                mask[:] = decode_segmentation(segmentation, (height, width))
                if not self.published and not mask.any():
                    raise MaskError("the mask has no pixel: remove the annotation, or correct it")
            except MaskError as error:
                raise DatasetError(f"{self.index}, annotation {number} of {file}: {error}") from None
        return Sample(image, _target(segments, masks=masks), file)


class CocoPanoptic(_CocoImages):
    """A panoptic data set in COCO's format: a JSON file, a folder of images, and ``labels``, one of panoptic PNGs.

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
        classes: Mapping[Any, int],
        content: Mapping[str, Any] | None = None,
        listing: Path | None = None,
        published: bool = False,
    ) -> None:
        self.labels = labels
        super().__init__(name, vocabulary, index, images, classes, content, listing, published)

    def _row(self, image: dict[str, Any], annotations: list[dict[str, Any]], classes: Mapping[Any, int]) -> Any:
        if len(annotations) != 1:
            raise DatasetError(f"{self.index} has {len(annotations)} labels for {file_of(image)}; one is needed")
        segments = [
            (class_of(segment, classes, self.index), flag(segment, "iscrowd"), id_of(segment))
            for segment in annotations[0]["segments_info"]
        ]
        if len({segment[2] for segment in segments}) < len(segments):
            raise DatasetError(
                f"{self.index} lists two segments with the same id for {file_of(image)}: ids must differ"
            )
        return file_of(image), file_of(annotations[0]), segments

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file: a PNG that is missing, of another size, or has an unlisted segment."""
        file, label, segments = self._rows[index]
        path = self.labels / label
        image, values = read_pair(self.images / file, path)
        if values.ndim != 3:
            raise DatasetError(f"{path} is not a panoptic PNG: RGB with id = R + 256 G + 65536 B is needed")
        listed = {0: UNLABELED} | {segment[2]: number for number, segment in enumerate(segments)}
        ids, places = np.unique(panoptic_ids(values), return_inverse=True)
        if strange := [number for number in ids.tolist() if number not in listed]:
            raise DatasetError(f"{path} has a segment {strange[0]} that its JSON does not list")
        if not self.published and (absent := listed.keys() - set(ids.tolist()) - {0}):
            raise DatasetError(
                f"{path} has no pixel of the segment {sorted(map(str, absent))[0]}, which {self.index} lists"
            )
        segment_ids = np.array([listed[number] for number in ids.tolist()], dtype=np.int32)[places]
        return Sample(image, _target(segments, segment_ids.reshape(values.shape[:2])), file)
