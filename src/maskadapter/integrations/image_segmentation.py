"""Results in the shape of the Hugging Face pipeline ``image-segmentation``."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.vocabulary import BACKGROUND

if TYPE_CHECKING:
    from maskadapter.models import OpenVocabularySegmenter
    from maskadapter.results import Segmentation

Subtask = Literal["panoptic", "instance", "semantic"]


class ImageSegmentation:
    """A model and a list of classes, called like the pipeline ``image-segmentation`` of transformers.

    model: of ``load``. classes, things, background: as ``segment`` takes them.
    Source: huggingface.co/docs/transformers, ImageSegmentationPipeline: what it takes and returns."""

    def __init__(
        self,
        model: "OpenVocabularySegmenter",
        classes: Any,
        things: Iterable[str] | None = None,
        background: Any = BACKGROUND,
    ) -> None:
        self.model, self.background = model, background
        self.classes = model.encode_text(classes, things)

    def __call__(self, images: Any, *, subtask: Subtask = "panoptic", threshold: float = 0.0) -> list[Any]:
        """Return ``[{"label", "score", "mask"}, ...]`` for an image, and a list of these for a list of images.

        images: whatever ``read_image`` takes, or a list. subtask: ``"panoptic"``, segments that do not overlap;
        ``"instance"``, the things alone, which may; ``"semantic"``, one mask for each class that occurs, whose score is
        None. threshold: 0 to 1, the least score. label: the class name. score: 0 to 1. mask: a Pillow image of the
        image's size, mode L, 255 inside. Raises ImageError and MaskAdapterError.
        """
        if subtask not in get_args(Subtask):
            raise MaskAdapterError(f"no subtask '{subtask}': choose from {', '.join(get_args(Subtask))}")
        if not 0 <= threshold <= 1:
            raise MaskAdapterError(f"threshold is {threshold}: a number from 0 to 1 is needed")
        if isinstance(images, list | tuple):
            return [self(image, subtask=subtask, threshold=threshold) for image in images]
        result = self.model.segment(images, self.classes, background=self.background)
        found = (
            {"label": result.class_names[label], "score": score, "mask": Image.fromarray(mask.astype(np.uint8) * 255)}
            for label, score, mask in _found(result, subtask)
            if score is None or score >= threshold
        )
        return list(found)


def _found(result: "Segmentation", subtask: Subtask) -> Iterator[tuple[int, float | None, np.ndarray]]:
    """Index of the class, score and mask (H, W) bool of what the subtask asks for."""
    if subtask == "panoptic":
        yield from ((one.label, one.score, one.mask) for one in result if one.label >= 0)
    elif subtask == "instance":
        found = result.instances()
        yield from zip(found.labels.tolist(), found.scores.tolist(), found.masks, strict=True)
    else:
        labels = result.semantic()
        yield from ((label, None, labels == label) for label in np.unique(labels[labels >= 0]).tolist())
