"""X-AnyLabeling's remote server: classes are typed there, polygons come back.

Source: X-AnyLabeling-Server, docs/router.md and docs/user_guide.md, and the requests of X-AnyLabeling's RemoteServer.
"""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from maskadapter.integrations.labeling_servers.sent_classes import classes_in
from maskadapter.integrations.labeling_servers.sent_image import MAX_PIXELS, Segment, from_base64, segment_sent
from maskadapter.integrations.labeling_servers.tool_router import tool_router
from maskadapter.io import outlines_of

if TYPE_CHECKING:
    from maskadapter.results import ResultSegment


class XAnyLabelingParameters(BaseModel):
    """What the user set. Others, of other models, are not looked at."""

    text_prompt: str = ""
    conf_threshold: Annotated[float, Field(ge=0, le=1)] = 0.0


class XAnyLabelingRequest(BaseModel):
    """An image, and what the user set."""

    model: str
    image: str
    params: XAnyLabelingParameters = XAnyLabelingParameters()


def x_anylabeling_routes(
    segment: Segment,
    *,
    token: str | None = None,
    model: str = "maskadapter",
    score: float = 0.0,
    max_pixels: int = MAX_PIXELS,
) -> APIRouter:
    """Return the routes below ``/x-anylabeling``, the address to give to X-AnyLabeling as that of its server.

    token: see ``tool_router``. model: its name in the list of models. score: 0 to 1, what the field for the least
    score shows at first. max_pixels: of one image.
    """
    router = tool_router("/x-anylabeling", token)
    widgets = {
        "edit_text": None,
        "button_send": None,
        "input_conf": None,
        "edit_conf": score,
        "toggle_preserve_existing_annotations": False,
    }
    about = {
        "display_name": f"maskadapter {model}" if model != "maskadapter" else model,
        "batch_processing_mode": "text_prompt",
        "widgets": [{"name": name, "value": value} for name, value in widgets.items()],
        "params": {},
    }

    @router.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"success": True, "data": {model: about}}

    @router.post("/v1/predict")
    def predict(request: XAnyLabelingRequest) -> dict[str, Any]:
        if request.model != model:
            raise HTTPException(404, f"there is no model '{request.model:.100}': '{model}' is served")
        vocabulary = classes_in(request.params.text_prompt)
        result = segment_sent(segment, from_base64(request.image), vocabulary, max_pixels)
        found = [one for one in result.segments if one.label >= 0 and one.score >= request.params.conf_threshold]
        return {"success": True, "data": {"shapes": [s for one in found for s in _shapes(one)], "description": ""}}

    return router


def _shapes(segment: "ResultSegment") -> list[dict[str, Any]]:
    """A segment as polygons, one for each part; several have its id as group. The first point comes again at the end,
    by which X-AnyLabeling knows a closed shape. No attributes: it would draw them over the image."""
    rings = [outline.ring().round(2).tolist() for outline in outlines_of(segment.compact)]
    return [
        {
            "label": segment.class_name,
            "shape_type": "polygon",
            "points": [*ring, ring[0]],
            "score": round(segment.score, 4),
            "attributes": {},
            "description": segment.top_text(),
            "difficult": False,
            "direction": 0,
            "flags": {},
            "group_id": segment.id if len(rings) > 1 else None,
            "kie_linking": [],
        }
        for ring in rings
    ]
