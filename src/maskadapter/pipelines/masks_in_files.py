"""Predict from masks in files: a model's pooler and CLIP classify them."""

from dataclasses import dataclass
from pathlib import Path

import torch

from maskadapter.data import Sample
from maskadapter.errors import MaskError
from maskadapter.evaluation import Predictions, file_of
from maskadapter.io import read_masks
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.results import Segmentation
from maskadapter.types import ImageSizes

SUFFIXES = (".png", ".npy", ".json")
"""Files of masks; of several for one image the first of these is taken."""

# Far from 0, so that what many masks lend to pixels outside of them does not add up.
_LOGIT = 30.0


@dataclass(frozen=True)
class MasksInFiles(Predictions):
    """The masks of every image in a folder, or COCO JSON with the masks of all images, classified by a model.

    path: a folder with ``<stem>.png``, ``.npy`` or ``.json`` for every image as ``read_masks`` takes them; or one file
    that ``read_masks`` takes with the image's name.
    """

    segmenter: OpenVocabularySegmenter
    encoded: EncodedVocabulary
    path: Path
    metrics = ("semantic", "panoptic", "instance")

    def source(self, name: str) -> Path | tuple[Path, str] | None:
        """The file of an image's masks; of a file for all images, the file and the image's name."""
        return (self.path, name) if self.path.is_file() else file_of(self.path, name, SUFFIXES)

    def of(self, sample: Sample) -> Segmentation:
        source, size = self.source(sample.name), sample.target.size
        if source is None:
            raise MaskError(f"no masks in {self.path}: {Path(sample.name).stem}{', '.join(SUFFIXES)} is needed")
        path = source if isinstance(source, Path) else source[0]
        masks = read_masks(path, size, Path(sample.name).name)
        class_probs = torch.from_numpy(self.segmenter.classify(sample.image, masks, self.encoded).probs)
        return Segmentation(
            sample.image,
            self.encoded.vocabulary,
            torch.where(torch.from_numpy(masks), _LOGIT, -_LOGIT),
            torch.cat([class_probs, torch.zeros(len(class_probs), 1)], dim=1),  # void never wins
            ImageSizes(size, size, size),
            overlap_threshold=self.segmenter.inference.overlap_threshold,
        )
