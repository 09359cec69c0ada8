"""The labeling interface of a Label Studio project: which classes it has, and what form their regions take."""

from typing import NamedTuple
from xml.etree import ElementTree

from maskadapter.errors import MaskAdapterError

_LONGEST = 1_000_000  # letters
_FORMS = {"brushlabels": "brush", "polygonlabels": "polygon", "rectanglelabels": "rectangle"}


class Control(NamedTuple):
    """A tag that holds labels. name, image: of the tag, and of the image tag that it is for. form: ``brush``,
    ``polygon`` or ``rectangle``. labels: from what an annotation stores to the names that a model is asked for."""

    name: str
    image: str
    form: str
    labels: dict[str, tuple[str, ...]]


class LabelConfig(NamedTuple):
    """controls: in the order of the interface. keys: for each image tag the key of its address in a task's data."""

    controls: tuple[Control, ...]
    keys: dict[str, str]


def read_label_config(text: str) -> LabelConfig:
    """Read a project's labeling interface. Raises MaskAdapterError: not XML, or no labels of a form that can be made.

    A label's names are its ``value``, or its ``predicted_values``, separated by commas, where it has them. What an
    annotation stores is its ``alias``, or its ``value``. Source: Label Studio's documentation of the tag Label.
    """
    if len(text) > _LONGEST or "<!DOCTYPE" in text:  # whose entities can grow without bounds
        raise MaskAdapterError("the labeling interface is not read: it has a DOCTYPE, or is far too long")
    try:
        tags = list(ElementTree.fromstring(text).iter())
    except ElementTree.ParseError as error:
        raise MaskAdapterError(f"the labeling interface is not XML: {error}") from None
    keys = {tag.get("name", ""): tag.get("value", "").lstrip("$") for tag in tags if tag.tag.lower() == "image"}
    controls = tuple(
        Control(tag.get("name", ""), tag.get("toName", "").split(",")[0], _FORMS[tag.tag.lower()], labels)
        for tag in tags
        if tag.tag.lower() in _FORMS and (labels := _labels(tag)) and tag.get("toName", "").split(",")[0] in keys
    )
    if not controls:
        needed = "BrushLabels, PolygonLabels or RectangleLabels with Label tags, for an Image, are needed"
        raise MaskAdapterError(f"the labeling interface has no classes to segment: {needed}")
    return LabelConfig(controls, keys)


def _labels(control: ElementTree.Element) -> dict[str, tuple[str, ...]]:
    labels = {}
    for tag in control.iter():
        value = tag.get("value", "").strip()
        if tag.tag.lower() == "label" and value:
            names = [name.strip() for name in tag.get("predicted_values", "").split(",") if name.strip()]
            labels[tag.get("alias") or value] = tuple(names or [value])
    return labels
