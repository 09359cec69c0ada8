"""A CVAT auto-annotation function: shapes for the labels of a task, which its reviewers correct.

``cvat-cli task auto-annotate`` takes this module (``--function-module maskadapter.integrations.cvat``) and calls
``create``; a Python program calls ``cvat_function``. Source: docs.cvat.ai, auto-annotation API.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from maskadapter.errors import MaskAdapterError, VocabularyError
from maskadapter.integrations.missing_library import import_library
from maskadapter.io import outlines_of
from maskadapter.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from PIL.Image import Image

    from maskadapter.models import OpenVocabularySegmenter
    from maskadapter.results import ResultSegment

Shape = Literal["mask", "polygon", "rectangle"]
ATTRIBUTE = "best_classes"
"""Name of the text attribute that gets the best classes of a shape."""
_SPEC_ID = 1  # of that attribute, in every label


@dataclass(frozen=True)
class _Label:
    """A label of CVAT. names: synonyms that are looked for. attribute: whether it has that of the best classes."""

    name: str
    names: tuple[str, ...]
    shape: Shape
    attribute: bool


def create(
    classes: str,
    model: str = "tiny",
    device: str = "cpu",
    shape: str = "mask",
    score: float = 0.0,
    attribute: str = "",
    background: str = BACKGROUND,
) -> "CvatFunction":
    """Return what ``cvat-cli`` runs on a task. Its parameters are given as ``-p classes=str:"cat, sofa|couch"``.

    classes: as ``segment`` takes them; a label of the task is called as the first name of a class. model: what
    ``load`` takes. attribute: name of a text attribute of all labels that gets the best classes; empty for none. shape,
    score, background: as in ``cvat_function``. Raises MaskAdapterError.
    """
    from maskadapter.hub import load

    import_library("cvat_sdk.auto_annotation", "cvat-sdk")  # before a large model is loaded
    vocabulary = Vocabulary.of(classes)
    options: dict[str, Any] = {"attribute": attribute or None, "background": background}
    return cvat_function(load(model, device=device), vocabulary, shape=shape, score=score, **options)


def cvat_function(
    model: "OpenVocabularySegmenter",
    labels: Any,
    *,
    shape: str = "mask",
    score: float = 0.0,
    attribute: str | None = None,
    background: Any = BACKGROUND,
) -> "CvatFunction":
    """Return an auto-annotation function, which ``cvat_sdk.auto_annotation.annotate_task`` takes.

    labels: those of a task, ``client.tasks.retrieve(number).get_labels()``, each of which is looked for by its name,
    with spaces for underscores; or classes as ``segment`` takes them, with a label of the first name of each.
    shape: ``"mask"``, ``"polygon"`` or ``"rectangle"``, for labels that take any shape; others get what they take,
    and labels for points, lines, tags and skeletons nothing. score: 0 to 1, the least, where the task's annotation asks
    for no other. attribute: name of a text attribute that gets the five best classes of each shape with their
    probabilities; without it ``best_classes``, where a label of the task has it. background: as ``segment`` takes it.
    Raises MaskAdapterError: cvat-sdk is not installed, no label that can be found, another shape or score.
    """
    if shape not in get_args(Shape):
        raise MaskAdapterError(f"no shape '{shape}': choose from {', '.join(get_args(Shape))}")
    if not 0 <= score <= 1:
        raise MaskAdapterError(f"score is {score}: a number from 0 to 1 is needed")
    return CvatFunction(model, _labels(labels, shape, attribute), score, attribute or ATTRIBUTE, background)


class CvatFunction:
    """A model and labels, as CVAT's driver calls them."""

    def __init__(
        self, model: "OpenVocabularySegmenter", labels: Sequence[_Label], score: float, attribute: str, background: Any
    ) -> None:
        self._cvat: Any = import_library("cvat_sdk.auto_annotation", "cvat-sdk")
        self._models: Any = import_library("cvat_sdk.models", "cvat-sdk")
        self._encode_mask = import_library("cvat_sdk.masks", "cvat-sdk").encode_mask
        self._model, self._labels, self._score, self._background = model, labels, score, background
        self.classes = vocabulary = Vocabulary.of([label.names for label in labels])
        # Labels that differ by case alone are one class, found as the first of them.
        first = {label.names[0]: number for number, label in reversed(list(enumerate(labels)))}
        self._label_of = [first[name] for name in vocabulary.names]
        self._encoded = model.encode_text(vocabulary)
        self._groups = 0
        self.spec = self._cvat.DetectionFunctionSpec(
            labels=[
                self._cvat.label_spec(
                    label.name,
                    number,
                    type=label.shape,
                    attributes=[self._cvat.text_attribute_spec(attribute, _SPEC_ID)] if label.attribute else [],
                )
                for number, label in enumerate(labels)
            ]
        )

    def detect(self, context: Any, image: "Image") -> list[Any]:
        """Return the shapes of an image as ``LabeledShapeRequest``. context: CVAT's, which may ask for a threshold,
        and for polygons in place of masks."""
        result = self._model.segment(image, self._encoded, background=self._background)
        least = self._score if context.conf_threshold is None else context.conf_threshold
        found = (segment for segment in result if segment.label >= 0 and segment.score >= least)
        return [shape for segment in found for shape in self._shapes(segment, context.conv_mask_to_poly)]

    def _shapes(self, segment: "ResultSegment", no_masks: bool) -> Iterator[Any]:
        number = self._label_of[segment.label]
        label, facts = self._labels[number], dict[str, Any]()
        if label.attribute:
            best = ", ".join(f"{name} {probability:.2f}" for name, probability in segment.top(5))
            facts["attributes"] = [self._models.AttributeValRequest(spec_id=_SPEC_ID, value=best)]
        if label.shape == "rectangle":
            yield self._cvat.rectangle(number, [*map(float, segment.box)], **facts)
        elif label.shape == "mask" and not no_masks:
            yield self._cvat.mask(number, self._encode_mask(segment.mask, segment.box), **facts)
        else:
            outlines = outlines_of(segment.compact)
            if len(outlines) > 1:  # parts of one segment belong together
                self._groups += 1
                facts["group"] = self._groups
            for outline in outlines:
                yield self._cvat.polygon(number, outline.ring().ravel().tolist(), **facts)


def _labels(given: Any, shape: Any, attribute: str | None) -> list[_Label]:
    """The labels that can be found, of a task or of classes."""
    if not isinstance(given, list | tuple) or not given or not all(hasattr(one, "attributes") for one in given):
        return [_Label(names[0], names, shape, attribute is not None) for names in Vocabulary.of(given).classes]
    labels = []
    for one in given:
        kind = shape if one.type == "any" else one.type
        if kind in get_args(Shape):
            texts = {each.name for each in one.attributes if each.input_type.value == "text"}
            words = " ".join(one.name.replace("_", " ").split())
            labels.append(_Label(one.name, (words,), kind, (attribute or ATTRIBUTE) in texts))
    if not labels:
        raise VocabularyError("the task has no label for masks, polygons or rectangles: add one to it")
    return labels
