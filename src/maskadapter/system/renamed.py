"""Names that version 0.1 documented and that are spelled otherwise now: each is refused with its new name."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast

from maskadapter.errors import MaskAdapterError

Kind = Literal["api", "attribute", "keyword", "option", "recipe key", "SAM option"]
Function = TypeVar("Function", bound=Callable[..., Any])

_RENAMED: Mapping[Kind, Mapping[str, str]] = {
    "api": {
        "segment_pictures": "segment_images",
        "label_pictures": "label_images",
    },
    "attribute": {
        "encode": "encode_text",
        "embedding": "pooler",
    },
    "keyword": {
        "model": "name",
        "embedding": "pooler",
        "like": "architecture",
        "fast": "prune_proposals",
        "measures": "metrics",
        "pictures": "images",
        "subset": "split",
        "split": "partition",
        "proposals": "masks",
    },
    "option": {
        "--embedding": "--pooler",
        "--like": "--architecture",
        "--measure": "--metric",
        "--pictures": "--images",
        "--proposals": "--masks",
        "--subset": "--split",
        "--split": "--partition",
    },
    "recipe key": {
        "model.name": "model.architecture",
        "model.start": "model.weights",
        "model.transfer_norm": "upstream_quirks.text_transfer_norm",
        "data.colour": "data.color",
        "masks.soft_edges": "upstream_quirks.soft_mask_edges",
        "masks.left_over": "upstream_quirks.unmatched_slots",
        "masks.detach_true": "upstream_quirks.detach_ground_truth",
        "loss.normalize": "upstream_quirks.loss_normalization",
        "optimizer.decayed": "upstream_quirks.decayed_parameters",
        "run.stochastic_depth": "upstream_quirks.clip_stochastic_depth",
        "run.trainable_void": "upstream_quirks.train_void_embedding",
        "evaluation.pictures": "evaluation.images",
    },
    "SAM option": {
        "points": "points_per_side",
        "at_a_time": "points_per_batch",
        "min_iou": "pred_iou_thresh",
        "min_stability": "stability_score_thresh",
        "max_overlap": "box_nms_thresh",
        "crop_layers": "crop_n_layers",
        "min_area": "min_mask_region_area (pixels)",
        "rest": "unmasked_regions",
    },
}

_GONE = {"--exact": "every proposal is computed unless --fast is given: leave --exact out"}


def renamed(kind: Kind) -> Mapping[str, str]:
    """Return the old names of one kind, each with the new one."""
    return _RENAMED[kind]


def advice(kind: Kind, old: str) -> str | None:
    """Return the line that says what an old name is called now; None for a name that is not old."""
    if kind == "option" and old in _GONE:
        return _GONE[old]
    new = renamed(kind).get(old)
    return None if new is None else f"{old} is called {new} since version 0.2"


def refuse_old_keywords(function: Function) -> Function:
    """Let a function raise MaskAdapterError, one line, for keyword arguments that have a new name.

    Those are the keywords that the function lacks and whose new name it has.
    """
    own = inspect.signature(function).parameters.keys()
    old_names = {old for old, new in renamed("keyword").items() if old not in own and new in own}

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        for old in old_names & keywords.keys():
            raise MaskAdapterError(f"{function.__name__}: {advice('keyword', old)}")
        return function(*arguments, **keywords)

    return cast(Function, call)


def refuse_old_attribute(name: str) -> None:
    """Raise AttributeError for an attribute of a model that has a new name."""
    if name in renamed("attribute"):
        raise AttributeError(advice("attribute", name))
