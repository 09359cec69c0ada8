"""A model of FiftyOne: detections with masks, or a segmentation, of every sample of a data set."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.integrations.missing_library import import_library
from maskadapter.vocabulary import BACKGROUND

if TYPE_CHECKING:
    from maskadapter.models import OpenVocabularySegmenter
    from maskadapter.results import ResultSegment, Segmentation

Output = Literal["detections", "segmentation"]


def fiftyone_model(
    model: "OpenVocabularySegmenter",
    classes: Any,
    *,
    output: Output = "detections",
    score: float = 0.0,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
) -> Any:
    """Return a ``fiftyone.Model``, which ``dataset.apply_model(model, label_field="predictions")`` takes.

    model: of ``load``. classes, things, background: as ``segment`` takes them. output: ``"detections"`` gives
    ``Detections``, one for each segment: class, box, mask, confidence 0 to 1, and its five best classes in
    ``best_classes`` with their probabilities in ``best_scores``. ``"segmentation"`` gives a ``Segmentation`` whose mask
    has 0 for none of the classes and i + 1 for class i; the returned model's ``mask_targets`` has the names, for
    ``dataset.default_mask_targets``. score: 0 to 1, leaves out segments with a lower one.
    Raises MaskAdapterError where fiftyone is not installed, and for another output or score.
    Source: docs.voxel51.com, fiftyone.core.models.Model and fiftyone.core.labels.
    """
    if output not in get_args(Output):
        raise MaskAdapterError(f"no output '{output}': choose from {', '.join(get_args(Output))}")
    if not 0 <= score <= 1:
        raise MaskAdapterError(f"score is {score}: a number from 0 to 1 is needed")
    base: Any = import_library("fiftyone.core.models", "fiftyone").Model
    encoded = model.encode_text(classes, things)

    class FiftyOneModel(base):
        """Segments images into the classes that it was made with."""

        media_type, ragged_batches, has_logits = "image", True, False
        transforms, preprocess = None, False

        def __init__(self) -> None:
            self.mask_targets = dict(enumerate(encoded.vocabulary.names, start=1))

        def predict(self, arg: np.ndarray) -> Any:
            """Return the labels of an image (H, W, 3) uint8 RGB."""
            result = model.segment(arg, encoded, background=background)
            result = result.filter(score) if score else result
            return detections(result) if output == "detections" else segmentation(result)

    return FiftyOneModel()


def detections(result: "Segmentation") -> Any:
    """Return the segments that have a class as ``fiftyone.Detections``."""
    labels = import_library("fiftyone.core.labels", "fiftyone")
    return labels.Detections(detections=[labels.Detection(**_detection(one)) for one in result if one.label >= 0])


def segmentation(result: "Segmentation") -> Any:
    """Return the class of every pixel as ``fiftyone.Segmentation``: 0 is none, i + 1 is class i."""
    kind = np.uint8 if len(result.vocabulary) < 256 else np.uint16
    labels = import_library("fiftyone.core.labels", "fiftyone")
    return labels.Segmentation(mask=(result.semantic() + 1).astype(kind))


def _detection(segment: "ResultSegment") -> dict[str, Any]:
    """A box is left, top, width and height, each as a share of the image; a mask is what lies in the box."""
    (height, width), (left, top, right, bottom) = segment.compact.size, segment.box
    best = segment.top(5)
    return {
        "label": segment.class_name,
        "bounding_box": [left / width, top / height, (right - left) / width, (bottom - top) / height],
        "mask": segment.compact.crop,
        "confidence": segment.score,
        "best_classes": [name for name, _ in best],
        "best_scores": [probability for _, probability in best],
    }
