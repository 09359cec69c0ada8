"""Roboflow Inference's ``/sam3/concept_segment``: text prompts in, masks for each of them out.

Source: the package ``inference``, its request and reply of SAM 3's promptable concept segmentation.
"""

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.integrations.labeling_servers.sent_classes import sent_classes
from maskadapter.integrations.labeling_servers.sent_image import MAX_PIXELS, Segment, from_base64, segment_sent
from maskadapter.integrations.labeling_servers.tool_router import tool_router
from maskadapter.io import encode_mask, outlines_of
from maskadapter.vocabulary import comparable

if TYPE_CHECKING:
    from maskadapter.results import ResultSegment

Share = Annotated[float, Field(ge=0, le=1)]


class RoboflowImage(BaseModel):
    """type: ``base64``. value: the bytes of an image file in base64."""

    type: str
    value: Any = None


class RoboflowPrompt(BaseModel):
    """A class. output_prob_thresh: the least score of its masks, instead of the request's."""

    type: str | None = None
    text: str | None = None
    output_prob_thresh: Share | None = None
    boxes: list[Any] | None = None


class RoboflowRequest(BaseModel):
    """An image and its prompts. Other fields, such as ``model_id`` and ``nms_iou_threshold``, are not looked at."""

    image: RoboflowImage
    prompts: Annotated[list[RoboflowPrompt], Field(min_length=1, max_length=500)]
    output_prob_thresh: Share | None = 0.5
    format: Literal["polygon", "json", "rle"] | None = "polygon"


def roboflow_routes(segment: Segment, *, token: str | None = None, max_pixels: int = MAX_PIXELS) -> APIRouter:
    """Return the routes below ``/roboflow``, the ``api_url`` to give to Roboflow's client. token: see ``tool_router``;
    the client calls it ``api_key``. max_pixels: of one image."""
    router = tool_router("/roboflow", token)

    @router.post("/sam3/concept_segment")
    def concept_segment(request: RoboflowRequest) -> dict[str, Any]:
        """Segment an image into the prompts' classes, which compete: a pixel belongs to at most one of them."""
        start = time.perf_counter()
        groups = [_names(prompt, index) for index, prompt in enumerate(request.prompts)]
        vocabulary = sent_classes(groups)
        if request.image.type != "base64" or not isinstance(request.image.value, str):
            raise ImageError(f"an image of type '{request.image.type:.40}' is not read: base64 is needed")
        result = segment_sent(segment, from_base64(request.image.value), vocabulary, max_pixels)
        labels = {comparable(name): label for label, name in enumerate(vocabulary.names)}
        replies = []
        for index, (prompt, names) in enumerate(zip(request.prompts, groups, strict=True)):
            label = labels[comparable(names[0])]
            given = request.output_prob_thresh if prompt.output_prob_thresh is None else prompt.output_prob_thresh
            found = [one for one in result.segments if one.label == label and one.score >= (given or 0.0)]
            echo = {"prompt_index": index, "type": "text", "text": prompt.text, "num_boxes": 0}
            masks = [_mask(one, request.format == "rle") for one in found]
            replies.append({"prompt_index": index, "echo": echo, "predictions": masks})
        return {"prompt_results": replies, "time": time.perf_counter() - start}

    return router


def _names(prompt: RoboflowPrompt, index: int) -> list[str]:
    names = [name.strip() for name in (prompt.text or "").split("|") if name.strip()]
    if prompt.boxes or not names:
        raise MaskAdapterError(f"prompt {index} has boxes or no text: text prompts alone are taken")
    return names


def _mask(segment: "ResultSegment", as_rle: bool) -> dict[str, Any]:
    if as_rle:
        return {"masks": encode_mask(segment.mask), "confidence": round(segment.score, 4), "format": "rle"}
    rings = [outline.ring().round().astype(int).tolist() for outline in outlines_of(segment.compact)]
    return {"masks": rings, "confidence": round(segment.score, 4), "format": "polygon"}
