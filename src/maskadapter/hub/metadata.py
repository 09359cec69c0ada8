"""The settings of a model that a file of weights keeps beside them: what the weights do not show."""

from dataclasses import asdict, replace
from typing import Any

from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter

# Of the settings of inference, those that are no fact of the weights but how to compute. Files of earlier versions hold
# them, the second under its former name.
_OF_CALLER = ("prune_proposals", "fast", "exact")


def settings_of(segmenter: OpenVocabularySegmenter) -> dict[str, Any]:
    """What the weights do not show and a user may have changed."""
    inference = {key: value for key, value in asdict(segmenter.inference).items() if key not in _OF_CALLER}
    settings: dict[str, Any] = {"inference": inference, "cell_order": segmenter.clip.cell_order}
    if isinstance(segmenter.pooler, AdapterPooler):
        settings["mask_threshold"] = segmenter.pooler.mask_threshold
        settings["adapter"] = segmenter.pooler.adapter.options
    if segmenter.text_transfer is not None:
        settings["norm_placement"] = segmenter.text_transfer.norm_placement
    return settings


def apply_settings(settings: dict[str, Any], segmenter: OpenVocabularySegmenter) -> None:
    """Put back what ``settings_of`` gave; what is missing stays as the builder set it: files of an earlier version lack
    what came later, and official ones everything. Raises KeyError, ValueError or TypeError for settings of another
    kind."""
    if "inference" in settings:
        inference = {key: value for key, value in settings["inference"].items() if key not in _OF_CALLER}
        if isinstance(inference["seen_in"], list):  # JSON has no tuples
            inference["seen_in"] = tuple(inference["seen_in"])
        segmenter.inference = replace(
            segmenter.inference, **{**inference, "input_size": InputSize(**inference["input_size"])}
        )
    clip, pooler, transfer = segmenter.clip, segmenter.pooler, segmenter.text_transfer
    clip.cell_order = settings.get("cell_order", clip.cell_order)
    if isinstance(pooler, AdapterPooler):
        pooler.mask_threshold = settings.get("mask_threshold", pooler.mask_threshold)
    if transfer is not None:
        transfer.norm_placement = settings.get("norm_placement", transfer.norm_placement)


def changed(settings: dict[str, Any], published: dict[str, Any]) -> dict[str, Any]:
    """Those of a file's settings that are not as published, both as ``settings_of`` gives them. What earlier versions
    did not know counts as published."""
    own = {key: value for key, value in settings.items() if value != published.get(key)}
    if isinstance(own.get("inference"), dict) and "inference" in published:
        inference = {key: value for key, value in own["inference"].items() if key not in _OF_CALLER}
        if inference.items() <= published["inference"].items():
            del own["inference"]
    return own
