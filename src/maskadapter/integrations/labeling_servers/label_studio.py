"""Label Studio's ML backend: a project's tasks are pre-labeled with the classes of its labeling interface.

Source: Label Studio, "Write your own ML backend" and the requests that its server sends: ``GET /health``,
``POST /setup``, ``POST /predict``, ``POST /webhook``.
"""

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from maskadapter.errors import MaskAdapterError
from maskadapter.integrations.labeling_servers.brush_rle import brush_rle
from maskadapter.integrations.labeling_servers.label_config import Control, LabelConfig, read_label_config
from maskadapter.integrations.labeling_servers.label_studio_host import LabelStudioHost
from maskadapter.integrations.labeling_servers.sent_classes import sent_classes
from maskadapter.integrations.labeling_servers.sent_image import MAX_PIXELS, Segment, segment_sent
from maskadapter.integrations.labeling_servers.tool_router import tool_router
from maskadapter.io import outlines_of
from maskadapter.types import Size

if TYPE_CHECKING:
    from maskadapter.results import ResultSegment

_MOST_TASKS = 1000
_log = logging.getLogger(__name__)


class LabelStudioSetup(BaseModel):
    """What Label Studio sends when a project is connected; its ``hostname`` and ``access_token`` are not used."""

    label_config: str = Field("", alias="schema")


class LabelStudioTask(BaseModel):
    """One image to label."""

    id: int | str | None = None
    data: dict[str, Any]


class LabelStudioTasks(BaseModel):
    """Tasks of one project."""

    tasks: list[LabelStudioTask] = Field(min_length=1, max_length=_MOST_TASKS)
    label_config: str


def label_studio_routes(
    segment: Segment,
    label_studio_url: str,
    *,
    token: str | None = None,
    score: float = 0.0,
    model_version: str = "maskadapter",
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = 64_000_000,
) -> APIRouter:
    """Return the routes below ``/label-studio``, the address to give to Label Studio as that of its model.

    label_studio_url: the only place that images are fetched from, with the token in the environment variable
    LABEL_STUDIO_API_KEY. token: see ``tool_router``. score: 0 to 1, the least of a segment that becomes a region.
    model_version: what predictions are stored under. max_pixels, max_bytes: of one image. Raises MaskAdapterError for
    an address that is none.
    """
    host = LabelStudioHost(label_studio_url, os.environ.get("LABEL_STUDIO_API_KEY"), max_bytes)
    router = tool_router("/label-studio", token)

    def regions(task: LabelStudioTask, config: LabelConfig) -> list[dict[str, Any]]:
        found = []
        for image, key in config.keys.items():
            controls = [control for control in config.controls if control.image == image]
            if not controls:
                continue
            targets = _targets(controls)
            content = host.fetch(task.data.get(key))
            result = segment_sent(segment, content, sent_classes(list(targets)), max_pixels)
            chosen = {names[0]: target for names, target in reversed(targets.items())}
            for one in result.segments:
                if one.label >= 0 and one.score >= score:
                    control, label = chosen[result.vocabulary.classes[one.label][0]]
                    found += _regions(one, control, label, result.size)
        return found

    def predicted(task: LabelStudioTask, config: LabelConfig) -> dict[str, Any]:
        found = regions(task, config)
        mean = float(np.mean([region["score"] for region in found])) if found else 0.0
        return {"result": found, "score": mean, "model_version": model_version}

    @router.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "maskadapter"}

    @router.post("/setup")
    def setup(request: LabelStudioSetup) -> dict[str, str]:
        if request.label_config:
            read_label_config(request.label_config)
        return {"model_version": model_version}

    @router.post("/predict")
    def predict(request: LabelStudioTasks) -> dict[str, Any]:
        """Answer for every task; one whose image cannot be read gets no regions, unless none can."""
        config = read_label_config(request.label_config)
        results, failed = [], []
        for task in request.tasks:
            try:
                results.append(predicted(task, config))
            except MaskAdapterError as error:
                _log.warning("task %s: %s", task.id, error)
                failed.append(f"task {task.id}: {error}")
                results.append({"result": [], "score": 0.0, "model_version": model_version})
        if len(failed) == len(results):
            raise MaskAdapterError(failed[0])
        return {"results": results, "model_version": model_version}

    @router.post("/webhook", status_code=201)
    def webhook(event: dict[str, Any]) -> dict[str, str]:
        """Label Studio tells of every annotation; nothing is learned from it."""
        return {"status": "ignored", "action": str(event.get("action"))[:100]}

    return router


def _targets(controls: Sequence[Control]) -> dict[tuple[str, ...], tuple[Control, str]]:
    """The classes to ask for, each with the tag and label of its regions: of several tags with a label, the first."""
    targets: dict[tuple[str, ...], tuple[Control, str]] = {}
    for control in controls:
        for label, names in control.labels.items():
            targets.setdefault(names, (control, label))
    return targets


def _regions(segment: "ResultSegment", control: Control, label: str, size: Size) -> list[dict[str, Any]]:
    """A segment as regions of Label Studio: one, and of polygons one for each part. Places are in percent."""
    height, width = size
    percent = np.array([100 / width, 100 / height])
    if control.form == "brush":
        values: list[dict[str, Any]] = [{"format": "rle", "rle": brush_rle(segment.compact)}]
    elif control.form == "polygon":
        rings = [outline.ring() * percent for outline in outlines_of(segment.compact)]
        values = [{"points": ring.round(4).tolist(), "closed": True} for ring in rings]
    else:
        left, top, right, bottom = (np.array(segment.box) * [*percent, *percent]).round(4).tolist()
        values = [{"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}]
    return [
        {
            "id": uuid4().hex[:10],
            "from_name": control.name,
            "to_name": control.image,
            "type": f"{control.form}labels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {**value, f"{control.form}labels": [label]},
            "score": round(segment.score, 4),
            "meta": {"text": [segment.top_text()]},
        }
        for value in values
    ]
