"""The switches of a model's evaluation, checked before PyTorch is imported."""

from pathlib import Path
from typing import Literal, get_args

from maskadapter.errors import MaskAdapterError
from maskadapter.models.sources import is_source
from maskadapter.pipelines.mask_files import MASK_SUFFIXES
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.paths import user_path

Branch = Literal["ensemble", "in-vocabulary", "out-of-vocabulary"]
"""Which classifier decides about the generator's masks: the generator's own (in-vocabulary), CLIP with the pooler
(out-of-vocabulary), or both. Source: paper, Tables 2 and 11."""
GROUND_TRUTH = "ground-truth"
"""The masks of the ground truth, which are only classified."""


def check_switches(
    branch: Branch,
    alpha: float | None,
    beta: float | None,
    masks: str | Path | None,
    background: str | None = None,
) -> None:
    """Raise MaskAdapterError, one line, for switches of ``model_predictor`` that do not exist or contradict."""
    if branch not in get_args(Branch):
        raise MaskAdapterError(f"unknown branch '{branch}'; {did_you_mean(branch, get_args(Branch))}")
    if masks is not None and (branch == "in-vocabulary" or alpha is not None or beta is not None):
        reason = "only the generator's own masks have an in-vocabulary classifier"
        raise MaskAdapterError(f"{reason}: leave branch, alpha and beta out")
    if branch != "ensemble" and (alpha is not None or beta is not None):
        raise MaskAdapterError(f"branch '{branch}' sets alpha and beta: leave them out")
    for weight, value in (("alpha", alpha), ("beta", beta)):
        if value is not None and not 0 <= value <= 1:
            raise MaskAdapterError(f"{weight} is {value}; a number from 0 to 1 is needed")
    if masks is None or is_source(str(masks)):
        return
    if background not in (None, "none"):
        raise MaskAdapterError("masks that are given are only classified: leave background out")
    if masks == GROUND_TRUTH or (place := user_path(masks, MaskAdapterError)).is_dir():
        return
    if not (place.is_file() and place.suffix in MASK_SUFFIXES):
        needed = "ground-truth, sam:NAME, segmenter:NAME, superpixels, or a folder or file of masks"
        raise MaskAdapterError(f"no masks '{masks}': give {needed}")
