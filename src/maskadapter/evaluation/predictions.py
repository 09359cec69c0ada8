"""Read another program's predictions from its files."""

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from maskadapter.data import Sample
from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.io import comparable_id, decode_segmentation, file_of, panoptic_ids, read_labels
from maskadapter.results import Instances, PanopticMap, Segment, boxes_of
from maskadapter.system.json_files import read_json
from maskadapter.system.paths import user_path
from maskadapter.vocabulary import Vocabulary


class Predictions(ABC):
    """Predictions found by an image's name: its path without suffix, or, where none has that path, its stem."""

    metrics: tuple[Literal["semantic", "panoptic", "instance"], ...]  # that the predictions allow

    @abstractmethod
    def source(self, name: str) -> Hashable | None:
        """Where an image's prediction is, a file or a key; None without a prediction."""

    def check(self, names: Sequence[str], whole: bool) -> None:
        """Raise MaskError where two images of one stem would share a prediction. whole: they are the whole data set."""
        first: dict[Hashable, str] = {}
        for name in names:
            source = self.source(name)
            if source is not None and first.setdefault(source, name) != name:
                todo = "name predictions after the images' paths, folders included"
                raise MaskError(f"{first[source]} and {name} would share the prediction {source}: {todo}")

    @abstractmethod
    def of(self, sample: Sample) -> Any:
        """The prediction for an image, with those of ``Segmentation``'s methods that the metrics need; MaskError where
        there is none, or one that does not fit the image."""


def read_predictions(path: str | Path, vocabulary: Vocabulary, annotations: str | Path | None = None) -> Predictions:
    """Read the predictions in a folder or a file.

    path: one of
        - a folder of label maps, ``<stem>.png``: the class, from 0; 255 (8 bit) and 65535 (16 bit) mean no class where
          the data set has fewer. Or ``<stem>-labels.png``, as ``Segmentation.save`` writes them: the class + 1, 0 none;
        - COCO panoptic JSON, with its PNGs in the folder of the same name or beside it;
        - COCO instance results: the list of ``image_id``, ``category_id``, ``segmentation``, ``score``, or a file that
          holds such a list as its ``annotations``.
    annotations: a JSON with ``categories`` and, for ``image_id``, ``images``, for predictions without them: the ground
        truth's. The categories in the order of their ids are the classes of the data set's ``vocabulary``. Without
        ``images`` the file's stem is the number of the image, as COCO names its images.
    Raises MaskAdapterError for another format, or another number of categories than classes.
    """
    path = user_path(path, MaskAdapterError)
    if path.is_dir():
        return LabelMaps(path, len(vocabulary))
    content = read_json(path, MaskAdapterError)
    found, facts = (content.get("annotations"), content) if isinstance(content, dict) else (content, {})
    if annotations is not None:
        facts = read_json(user_path(annotations, MaskAdapterError), MaskAdapterError)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise MaskAdapterError(f"{path} is not COCO predictions: a list of annotations is needed")
    classes, stems = _classes(facts, len(vocabulary), path), _stems(facts)
    try:
        if any("segments_info" in one for one in found):
            images = {}
            for one in found:
                known = stems.get(comparable_id(one["image_id"])) if "image_id" in one else None
                images[known or _stem(one.get("file_name"))] = one
            return PanopticImages(path, images, classes)
        instances: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for one in found:
            number = comparable_id(one.get("image_id"))
            instances[stems.get(number, number)].append(one)
    except MaskError as error:
        raise MaskAdapterError(f"{path} has a prediction without image: {error}") from None
    return InstanceResults(path, instances, classes)


class LabelMaps(Predictions):
    """A folder of label maps."""

    metrics = ("semantic",)

    def __init__(self, folder: Path, classes: int) -> None:
        self.folder, self.classes = folder, classes

    def source(self, name: str) -> Path | None:
        return file_of(self.folder, name, (".png", "-labels.png"))

    def of(self, sample: Sample) -> Any:
        stem, path = Path(sample.name).stem, self.source(sample.name)
        if path is None:
            raise MaskError(f"no prediction in {self.folder}: {stem}.png or {stem}-labels.png is needed")
        values = read_labels(path)
        if values.ndim != 2:
            raise MaskError(f"{path} has three channels; one channel of class numbers is needed")
        labels, none = values.astype(np.int64), 255 if values.dtype == np.uint8 else 65535
        if path.stem.endswith("-labels") and path.stem != stem:
            labels -= 1
        elif none >= self.classes:
            labels[labels == none] = -1
        return SimpleNamespace(semantic=lambda: labels)


class CocoPredictions(Predictions):
    """A COCO JSON file. found: what it has for each image, by its path without suffix or its number. classes: category
    id -> class."""

    def __init__(self, path: Path, found: Mapping[Any, Any], classes: Mapping[Any, int]) -> None:
        self.path, self.found, self.classes = path, found, classes
        self._of_stem: dict[str, list[str]] = defaultdict(list)
        for key in found:
            if isinstance(key, str):
                self._of_stem[PurePosixPath(key).name].append(key)

    def source(self, name: str) -> Hashable | None:
        """The image's key in ``found``: its number, its path without suffix, or the path that ends in its stem."""
        stem = Path(name).stem
        for key in ([int(stem)] if stem.isdecimal() else []) + [_stem(name)]:
            if key in self.found:
                return key
        keys = self._of_stem.get(stem, [])
        if len(keys) > 1:
            both = f"{keys[0]} and {keys[1]}"
            raise MaskError(f"{self.path} has both {both} for {name}: name predictions after the images' paths")
        return keys[0] if keys else None


class PanopticImages(CocoPredictions):
    """COCO panoptic predictions; semantic labels follow from the segments."""

    metrics = ("semantic", "panoptic")

    @property
    def folder(self) -> Path:
        """The folder of the PNGs: of the JSON's name, or its own."""
        return self.path.with_suffix("") if self.path.with_suffix("").is_dir() else self.path.parent

    @property
    def images(self) -> list[Path]:
        """The PNGs that the JSON names, existing or not."""
        return [self._image(one) for one in self.found.values()]

    def of(self, sample: Sample) -> Any:
        one = self.found.get(self.source(sample.name))
        if one is None:
            raise MaskError(f"{self.path} has no prediction for this image")
        if not isinstance(one.get("segments_info"), list):
            raise MaskError(f"{self.path} has a prediction without segments_info: the list of its segments is needed")
        image = read_labels(self._image(one))
        ids = panoptic_ids(image) if image.ndim == 3 else image.astype(np.int32)
        try:
            found = [
                (int(comparable_id(facts["id"])), self.classes[comparable_id(facts["category_id"])])
                for facts in one["segments_info"]
            ]
        except (MaskError, KeyError, TypeError, ValueError) as error:
            raise MaskError(f"{self.path} has a segment of unknown id or category ({error})") from None
        segments = tuple(Segment(key, label, True, 1.0, int((ids == key).sum()), 0) for key, label in found)
        # Ids reach 2^24: a table over them would be larger than the image.
        values, places = np.unique(ids, return_inverse=True)
        label_of = dict(found)
        labels = np.array([label_of.get(int(value), -1) for value in values])[places.reshape(ids.shape)]
        return SimpleNamespace(semantic=lambda: labels, panoptic=lambda: PanopticMap(ids, segments))

    def _image(self, one: Mapping[str, Any]) -> Path:
        name = PurePosixPath(str(one.get("file_name")).replace("\\", "/"))
        below = not name.is_absolute() and ".." not in name.parts  # the file may be anybody's
        return self.folder / name if below and (self.folder / name).is_file() else self.folder / name.name


class InstanceResults(CocoPredictions):
    """COCO instance results; an image without any has no instances."""

    metrics = ("instance",)

    def check(self, names: Sequence[str], whole: bool) -> None:
        """As in ``Predictions``; MaskError also for predictions of images that the whole data set lacks."""
        super().check(names, whole)
        if whole and self.found and all(self.source(name) is None for name in names):
            raise MaskError(
                f"{self.path} has results of {len(self.found):,} images ({next(iter(self.found))}, ...), none of "
                "which is in the data set: give a JSON that lists its images, the ground truth's, as annotations"
            )

    def of(self, sample: Sample) -> Any:
        try:
            found = sorted(self.found.get(self.source(sample.name), []), key=lambda one: -float(one["score"]))
            labels = np.array([self.classes[comparable_id(one["category_id"])] for one in found], np.int64)
            scores = np.array([one["score"] for one in found], np.float64)
            if not np.isfinite(scores).all():
                raise MaskError(f"{self.path} has a result whose score is not finite")
            masks = np.zeros((len(found), *sample.target.size), bool)
            for mask, one in zip(masks, found, strict=True):
                mask[:] = decode_segmentation(one["segmentation"], sample.target.size)
        except (KeyError, TypeError, ValueError) as error:
            raise MaskError(f"{self.path} has a result without score or of unknown category ({error})") from None
        boxes = boxes_of(masks)
        return SimpleNamespace(instances=lambda top: Instances(masks[:top], boxes[:top], labels[:top], scores[:top]))


def _classes(facts: Mapping[str, Any], count: int, path: Path) -> dict[Any, int]:
    """Category id -> class."""
    try:
        ids = [comparable_id(category["id"]) for category in facts["categories"]]
    except (KeyError, TypeError, MaskError):
        todo = "give a JSON that does, the ground truth's, as annotations"
        raise MaskAdapterError(f"{path} does not list its categories: {todo}") from None
    if (twice := next((number for number, times in Counter(ids).items() if times > 1), None)) is not None:
        raise MaskAdapterError(f"{path} has two categories with the same id {twice}: ids must differ")
    if len(ids) != count:
        raise MaskAdapterError(f"{path} has {len(ids)} categories and the data set {count} classes")
    ids.sort(key=lambda number: (isinstance(number, str), number))
    return {category: index for index, category in enumerate(ids)}


def _stem(name: Any) -> str:
    return PurePosixPath(str(name).replace("\\", "/")).with_suffix("").as_posix()


def _stems(facts: Mapping[str, Any]) -> dict[Any, str]:
    """Number of an image -> its file's path without suffix, for files that list their images."""
    try:
        return {comparable_id(image["id"]): _stem(image["file_name"]) for image in facts.get("images", ())}
    except (KeyError, TypeError, MaskError):
        return {}
