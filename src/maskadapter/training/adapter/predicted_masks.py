"""Predicted masks of the mixed stage, each matched with a ground-truth mask. Source: paper, section 3.3."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from maskadapter.training.adapter.iou_matching import mask_iou, match_by_iou, resize_masks, sample_matches
from maskadapter.training.adapter.losses import NO_CLASS
from maskadapter.training.adapter.mask_slots import labels_in_slots, masks_in_slots
from maskadapter.training.batch import Batch, Rngs
from maskadapter.training.generator.hungarian_matching import match_by_cost
from maskadapter.training.upstream_quirks import TrainingQuirks


@dataclass(frozen=True)
class PredictedMasks:
    """How predicted masks enter the mixed stage.

    matcher: ``"iou"`` keeps predictions close to a ground-truth mask, ``"hungarian"`` finds one for every ground-truth
    mask. iou_threshold, matching_threshold: 0 to 1; at the second a prediction is made binary for its IoU, and at the
    pooler's own threshold to be trained on. slots: P, predicted masks an image.
    """

    matcher: Literal["iou", "hungarian"] = "iou"
    iou_threshold: float = 0.7
    matching_threshold: float = 0.5
    slots: int = 8


@dataclass(frozen=True, eq=False)
class MaskPairs:
    """Predicted masks and their ground-truth masks.

    predicted, ground_truth: (B, P, h, w) float, 0 to 1. labels: (B, P). counted: (B, P) bool, which pairs count in the
    consistency loss.
    """

    predicted: Tensor
    ground_truth: Tensor
    labels: Tensor
    counted: Tensor


def pair_masks(
    mask_logits: Tensor,
    class_logits: Tensor | None,
    batch: Batch,
    settings: PredictedMasks,
    quirks: TrainingQuirks,
    mask_threshold: float,
    size: tuple[int, int],
    rngs: Rngs,
) -> MaskPairs:
    """Match the proposals of a batch with its ground-truth masks.

    mask_logits: (B, N, h, w). class_logits: (B, N, K + 1), void last, for the Hungarian matcher; None where nothing
    classifies the proposals. mask_threshold: 0 to 1, at which the masks that are trained on are binary. size: (h, w) of
    the masks that are returned. rngs: B.
    """
    input_size = (batch.images.shape[-2], batch.images.shape[-1])
    predicted, ground_truth, classes = [], [], []
    for index, (targets, rng) in enumerate(zip(batch.targets, rngs, strict=True)):
        logits = mask_logits[index]
        small = resize_masks(targets.masks, (logits.shape[-2], logits.shape[-1]))
        if settings.matcher == "hungarian":
            classified = None if class_logits is None else class_logits[index]
            matches = match_by_cost(logits, classified, targets, rng)
        else:
            iou = mask_iou(logits.sigmoid() >= settings.matching_threshold, small > 0.5)
            matches = match_by_iou(iou, settings.iou_threshold, rng)
        chosen, matched = sample_matches(matches, settings.slots, rng)
        binary = (logits[chosen].sigmoid() > mask_threshold).float()
        if quirks.soft_mask_edges:
            binary, own = resize_masks(binary, input_size), resize_masks(small[matched], input_size)
        else:
            own = targets.masks[matched].float()
        predicted.append(resize_masks(binary, size))
        ground_truth.append(resize_masks(own, size))
        classes.append(targets.classes[matched])
    labels = labels_in_slots(classes, settings.slots)
    counted = (labels != NO_CLASS) | (quirks.unmatched_slots != "ignored")
    fill = 1.0 if quirks.unmatched_slots == "full" else 0.0
    return MaskPairs(
        masks_in_slots(predicted, settings.slots, fill), masks_in_slots(ground_truth, settings.slots), labels, counted
    )
