"""What clients get: the replies as they are described in openapi.json, and made of results."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from maskadapter.io import encode_mask, mask_polygons, panoptic_image
from maskadapter.results import ResultSegment, colors_of, painted
from maskadapter.types import Size
from maskadapter.vocabulary import Vocabulary


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorReply(_Reply):
    """Why a request was refused."""

    error: str = Field(description="One sentence: what came, what is needed, what to do.")


class ImageReply(_Reply):
    """An image that was encoded and is kept for further requests, until others need its place."""

    id: str = Field(description="Follows from the content of the file alone.")
    width: int
    height: int
    file_name: str | None


class ClassReply(_Reply):
    """One of the classes. color: the same for a name in every image."""

    label: int
    name: str
    color: str = Field(pattern="^#[0-9a-f]{6}$")
    is_thing: bool


class ProbableClass(_Reply):
    """A class, or one of the background, or "(nothing)", with its probability."""

    name: str
    probability: float


class RunLengths(_Reply):
    """A mask as COCO's compressed run lengths."""

    size: tuple[int, int] = Field(description="Height and width.")
    counts: str


class Polygons(_Reply):
    """A mask as COCO's polygons, each [x1, y1, x2, y2, ...], in pixels. Holes are left out."""

    polygons: list[list[float]]


class SegmentReply(_Reply):
    """One segment."""

    id: int = Field(description="From 1; its value in `id_map`.")
    label: int = Field(description="Which of `classes`; -1 for a mask without pixels.")
    name: str
    is_thing: bool
    score: float | None = Field(description="0 to 1; null for a mask without pixels.")
    area: int = Field(description="Pixels.")
    box: tuple[int, int, int, int] = Field(description="Left, top, right, bottom; right and bottom exclusive.")
    proposal: int = Field(description="For `GET /v1/images/{id}/segments/{n}/maps`; of a given mask its place.")
    classes: list[ProbableClass] = Field(description="The most probable classes, best first.")
    mask: RunLengths | Polygons | None = None


class SegmentsReply(_Reply):
    """The segments of an image."""

    image_id: str
    width: int
    height: int
    model: str
    classes: list[ClassReply]
    background: str = Field(description="What competed with the classes: a list's name, names, or none.")
    mode: str
    segments: list[SegmentReply]
    id_map: str | None = Field(
        None, description="A PNG in base64, RGB: the id of each pixel's segment is R + 256 G + 65536 B, 0 = none."
    )
    seconds: float = Field(description="From the arrival of the request to the reply.")


def segments_reply(segments: Sequence[ResultSegment], size: Size, output: str, top: int) -> dict[str, Any]:
    """``segments`` and ``id_map`` of a reply. output, top: as in the request."""
    reply: dict[str, Any] = {"segments": [_segment(one, output, top) for one in segments]}
    if output == "png":
        reply["id_map"] = base64.b64encode(png(panoptic_image(painted(segments, size).ids))).decode()
    return reply


def classes_reply(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """The classes of a reply."""
    rows = zip(vocabulary.names, colors_of(vocabulary.names), vocabulary.is_thing, strict=True)
    return [
        {"label": label, "name": name, "color": "#{:02x}{:02x}{:02x}".format(*color), "is_thing": thing}
        for label, (name, color, thing) in enumerate(rows)
    ]


def png(image: Image.Image) -> bytes:
    """An image as a PNG without color profile or gamma, so that its values arrive as they are."""
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=3)
    return file.getvalue()


def _segment(one: ResultSegment, output: str, top: int) -> dict[str, Any]:
    found = {
        "id": one.id,
        "label": one.label,
        "name": one.class_name,
        "is_thing": one.is_thing,
        "score": None if np.isnan(one.score) else round(one.score, 6),
        "area": one.area,
        "box": list(one.box),
        "proposal": one.proposal,
        "classes": [{"name": name, "probability": round(value, 6)} for name, value in one.top(top)],
    }
    if output == "coco_rle":
        found["mask"] = encode_mask(one.mask)
    elif output == "polygon":
        left, top_edge = one.box[:2]
        found["mask"] = {"polygons": mask_polygons(one.compact.crop, (left, top_edge))}
    return found
