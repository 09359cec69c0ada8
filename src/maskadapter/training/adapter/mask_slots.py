"""The masks that a step trains on, in a fixed number of slots for each image, so that a batch is one tensor.

Source: paper, section 3.3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from maskadapter.training.adapter.iou_matching import mask_iou, match_by_iou, resize_masks, sample_matches
from maskadapter.training.batch import Batch, MaskTargets, Rngs
from maskadapter.training.generator.hungarian_matching import match_by_cost
from maskadapter.training.recipe import Masks
from maskadapter.training.upstream_quirks import TrainingQuirks

NO_CLASS = -1
"""The label of a slot that holds no mask."""


def sample_targets(targets: MaskTargets, slots: int, rng: torch.Generator) -> MaskTargets:
    """At most ``slots`` of the ground-truth masks, drawn without repetition where there are more. rng: on the CPU.

    Source: official MaskFormer-style target sampling.
    """
    if len(targets) <= slots:
        return targets
    return targets[torch.randperm(len(targets), generator=rng)[:slots].to(targets.masks.device)]


def in_slots(parts: Sequence[Tensor], slots: int, fill: float) -> Tensor:
    """B times (n, ...), n at most ``slots`` -> (B, slots, ...); empty slots hold ``fill``."""
    return torch.stack([torch.cat([p, p.new_full((slots - len(p), *p.shape[1:]), fill)]) for p in parts])


def pair_masks(
    mask_logits: Tensor,
    class_logits: Tensor | None,
    batch: Batch,
    settings: Masks,
    quirks: TrainingQuirks,
    mask_threshold: float,
    size: tuple[int, int],
    rngs: Rngs,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Match the proposals of a batch with its ground-truth masks.

    mask_logits: (B, N, h, w). class_logits: (B, N, K + 1), void last, for the Hungarian matcher; None where nothing
    classifies the proposals. mask_threshold: 0 to 1, at which the masks that are trained on are binary. rngs: B.
    Returns predicted and ground-truth masks (B, P, *size) float, 0 to 1; labels (B, P); and which pairs count in the
    consistency loss, (B, P) bool.
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
        chosen, matched = sample_matches(matches, settings.predicted, rng)
        binary, own = (logits[chosen].sigmoid() > mask_threshold).float(), targets.masks[matched]
        if quirks.soft_mask_edges:
            binary, own = resize_masks(binary, input_size), resize_masks(small[matched], input_size)
        predicted.append(resize_masks(binary, size))
        ground_truth.append(resize_masks(own, size))
        classes.append(targets.classes[matched])
    slots, fill = settings.predicted, 1.0 if quirks.unmatched_slots == "full" else 0.0
    labels = in_slots(classes, slots, NO_CLASS)
    counted = (labels != NO_CLASS) | (quirks.unmatched_slots != "ignored")
    return in_slots(predicted, slots, fill), in_slots(ground_truth, slots, 0.0), labels, counted
