"""A CVAT interaction function: clicks choose segments of an image, which is segmented once.

``cvat-cli function create-native`` and ``function run-agent`` take this module
(``--function-module maskadapter.integrations.cvat_clicks``) and call ``create``.
Source: docs.cvat.ai, auto-annotation API.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from maskadapter.errors import MaskAdapterError
from maskadapter.integrations.missing_library import import_library
from maskadapter.vocabulary import Vocabulary

if TYPE_CHECKING:
    from PIL.Image import Image

    from maskadapter.models import OpenVocabularySegmenter
    from maskadapter.results import Segmentation

CLASSES = "coco-stuff"
"""The list that splits an image into segments where no classes are given."""


def create(classes: str = CLASSES, model: str = "tiny", device: str = "cpu") -> "CvatClicks":
    """Return what an agent of ``cvat-cli`` runs. classes, model: as in ``CvatClicks`` and ``load``. Raises
    MaskAdapterError."""
    from maskadapter.hub import load

    import_library("cvat_sdk.auto_annotation", "cvat-sdk")  # before a large model is loaded
    vocabulary = Vocabulary.of(classes)
    return CvatClicks(load(model, device=device), vocabulary)


class CvatClicks:
    """A model whose segments are chosen by clicks: the mask is what lies under the points inside the object, without
    what lies under the points outside it.

    classes: as ``segment`` takes them; they decide where segments meet, not what is returned."""

    def __init__(self, model: "OpenVocabularySegmenter", classes: Any = CLASSES) -> None:
        self._cvat: Any = import_library("cvat_sdk.auto_annotation", "cvat-sdk")
        self._models: Any = import_library("cvat_sdk.models", "cvat-sdk")
        self._encode_mask = import_library("cvat_sdk.masks", "cvat-sdk").encode_mask
        if not hasattr(self._cvat, "InteractionFunctionSpec"):
            raise MaskAdapterError("this cvat-sdk knows no clicks: pip install --upgrade cvat-sdk")
        self.spec = self._cvat.InteractionFunctionSpec(min_pos_points=1, min_neg_points=0)
        self._model, self._classes = model, model.encode_text(classes)

    def preprocess_image(self, context: Any, image: "Image") -> "Segmentation":
        """Segment an image, which does not depend on the clicks."""
        return self._model.segment(image, self._classes, background=None)

    def detect(self, context: Any, pp_image: "Segmentation", prompts: Any) -> list[Any]:
        """Return one mask with its confidence, the least of its segments' scores, 0 to 1; nothing where no segment lies
        under the points. pp_image: of ``preprocess_image``. prompts: CVAT's, points (x, y) in pixels."""
        ids = pp_image.panoptic().ids
        chosen = _under(ids, prompts.pos_points) - _under(ids, prompts.neg_points) - {0}
        if not chosen:
            return []
        score = min(one.score for one in pp_image if one.id in chosen)
        confidence = self._models.AttributeValRequest(
            spec_id=self._cvat.InteractionResultAttributes.CONFIDENCE.value, value=f"{score:.4f}"
        )
        points = self._encode_mask(np.isin(ids, list(chosen)))
        return [self._cvat.InteractionResultShape(type="mask", points=points, attributes=[confidence])]


def _under(ids: np.ndarray, points: Iterable[tuple[float, float]]) -> set[int]:
    """The segments under points; one outside the image counts as at its edge."""
    height, width = ids.shape
    return {int(ids[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)]) for x, y in points}
