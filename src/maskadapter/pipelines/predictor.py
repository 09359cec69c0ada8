"""What ``evaluate`` needs of a predictor, and predictors that read files."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from maskadapter.data import Dataset, Sample
from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.evaluation import Metric, PanopticImages, Predictions, read_predictions
from maskadapter.hub.zoo import sha256_of
from maskadapter.io import file_of, read_masks
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.pipelines.mask_files import MASK_SUFFIXES, needed_files
from maskadapter.results import Segmentation
from maskadapter.system.paths import user_path
from maskadapter.types import ImageSizes

_LOGIT = 30.0  # far from 0, so that what many masks lend to pixels outside of them does not add up


@dataclass(frozen=True)
class Predictor:
    """Arguments of ``evaluate`` for one model or one set of predictions; predict, settings, metrics are as there.

    trained_on: the class list that the model was trained on, if known, as ``Partition.of`` takes it. published_as: name
    and pooler of the published model whose figures these predictions may be compared with, if they may.
    """

    predict: Any
    settings: Mapping[str, Any]
    metrics: tuple[Metric, ...] | None = None
    trained_on: str | tuple[str, ...] | None = None
    published_as: tuple[str, str] | None = None


@dataclass(frozen=True)
class MasksInFiles(Predictions):
    """Masks in files, classified by a model's pooler and CLIP.

    path: one file, or a folder with ``<stem>.png`` or another of ``MASK_SUFFIXES`` for every image, see ``read_masks``.
    """

    segmenter: OpenVocabularySegmenter
    encoded: EncodedVocabulary
    path: Path
    metrics = ("semantic", "panoptic", "instance")

    def source(self, name: str) -> Path | tuple[Path, str] | None:
        """The file of an image's masks; of a file for all images, the file and the image's name."""
        return (self.path, name) if self.path.is_file() else file_of(self.path, name, MASK_SUFFIXES)

    def of(self, sample: Sample) -> Segmentation:
        source, size, name = self.source(sample.name), sample.target.size, Path(sample.name)
        if source is None:
            raise MaskError(f"no masks in {self.path}: {needed_files(name.stem)} is needed")
        masks = read_masks(source if isinstance(source, Path) else source[0], size, name.name)
        class_probs = torch.from_numpy(self.segmenter.classify(sample.image, masks, self.encoded).probs)
        empty = class_probs.isnan().any(dim=1, keepdim=True)  # they have no class
        return Segmentation(
            sample.image,
            self.encoded.vocabulary,
            torch.where(torch.from_numpy(masks), _LOGIT, -_LOGIT),
            torch.cat([class_probs.nan_to_num(), empty.float()], dim=1),  # void wins these alone
            ImageSizes(size, size, size),
            overlap_threshold=self.segmenter.inference.overlap_threshold,
        )


def file_predictor(path: str | Path, dataset: Dataset, annotations: str | Path | None = None) -> Predictor:
    """Return the predictions that another program wrote to files, see ``read_predictions``."""
    path = user_path(path, MaskAdapterError)
    annotations = None if annotations is None else user_path(annotations, MaskAdapterError)
    predictions = read_predictions(path, dataset.vocabulary, annotations)
    path = path.resolve()
    settings: dict[str, Any] = {"predictions": path.name}
    if path.is_dir():
        settings |= folder_facts(path, path.rglob("*.png"))
    else:
        settings["sha256"] = sha256_of(path)
        if isinstance(predictions, PanopticImages):
            settings |= folder_facts(predictions.folder.resolve(), (file.resolve() for file in predictions.images))
        if annotations is not None:
            settings["annotations"] = f"{annotations.name}, sha256 {sha256_of(annotations)}"
    return Predictor(predictions, settings)


def folder_facts(folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    """Identify a folder's files by their names and sizes, without reading them."""
    listed = sorted((os.path.relpath(file, folder), file.stat().st_size) for file in files if file.is_file())
    return {"files": len(listed), "names and sizes": sha256(repr(listed).encode()).hexdigest()[:16]}
