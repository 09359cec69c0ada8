"""The masks that a step trains on: matched predictions and ground truth, in a fixed number of slots for each image.

Source: paper, section 3.3, and equation 5 for the IoU matcher.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.training.batch import Batch, MaskTargets, Matches, Rngs
from maskadapter.training.generator.hungarian_matching import match_by_cost
from maskadapter.training.recipe import Masks, TrainingQuirks

NO_CLASS = -1
"""The label of a slot that holds no mask."""


def mask_iou(predicted: Tensor, ground_truth: Tensor) -> Tensor:
    """IoU of every pair. predicted (N, h, w) bool, ground_truth (M, h, w) bool -> (N, M), 0 to 1."""
    a, b = predicted.flatten(1).float(), ground_truth.flatten(1).float()
    with torch.autocast(predicted.device.type, enabled=False):  # counts of pixels leave the range of half precision
        both = a @ b.T
    return both / (a.sum(dim=1)[:, None] + b.sum(dim=1) - both + 1e-6)  # Source: official compute_mask_iou


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H, W) bool or float -> (N, *size) float, bilinear: soft at the edges."""
    if masks.shape[-2:] == size:
        return masks.float()
    if not len(masks):
        return torch.zeros(0, *size, device=masks.device)
    return F.interpolate(masks[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]


def match_by_iou(iou: Tensor, threshold: float, rng: torch.Generator) -> Matches:
    """For every ground-truth mask in turn, draw one of the predictions whose IoU with it exceeds the threshold.

    Predictions may repeat. iou: (N, M). threshold: 0 to 1. rng: on the CPU; used once for each match. Source: official
    match_via_iou; paper, equation 5, keeps an IoU equal to the threshold too.
    """
    fitting = [column.nonzero()[:, 0] for column in iou.T.cpu() > threshold]
    ground_truth = [index for index, candidates in enumerate(fitting) if len(candidates)]
    predicted = [int(fitting[i][torch.randint(0, len(fitting[i]), (1,), generator=rng)]) for i in ground_truth]
    return torch.tensor(predicted, dtype=torch.int64), torch.tensor(ground_truth, dtype=torch.int64)


def sample_matches(matches: Matches, most: int, rng: torch.Generator) -> Matches:
    """At most ``most`` of the matches, without repetition. Source: official match_via_iou."""
    if len(matches[0]) <= most:
        return matches
    kept = torch.randperm(len(matches[0]), generator=rng)[:most]
    return matches[0][kept], matches[1][kept]


def sample_targets(targets: MaskTargets, slots: int, rng: torch.Generator) -> MaskTargets:
    """At most ``slots`` of the masks, drawn without repetition. Source: official MaskFormer-style target sampling."""
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

    mask_logits: (B, N, h, w). class_logits: (B, N, K + 1), void last, for the Hungarian matcher; may be None.
    mask_threshold: 0 to 1, at which the masks that are trained on are binary. rngs: B. Returns predicted and
    ground-truth masks (B, P, *size) float, 0 to 1; labels (B, P); and which pairs count in the loss, (B, P) bool.
    """
    input_size = (batch.images.shape[-2], batch.images.shape[-1])
    predicted, ground_truth, classes = [], [], []
    for index, (targets, rng) in enumerate(zip(batch.targets, rngs, strict=True)):
        logits = mask_logits[index]
        small = resize_masks(targets.masks, (logits.shape[-2], logits.shape[-1]))
        if settings.matcher == "hungarian":
            matches = match_by_cost(logits, None if class_logits is None else class_logits[index], targets, rng)
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
    slots, fill = settings.predicted, float(quirks.unmatched_slots == "full")
    labels = in_slots(classes, slots, NO_CLASS)
    counted = (labels != NO_CLASS) | (quirks.unmatched_slots != "ignored")
    return in_slots(predicted, slots, fill), in_slots(ground_truth, slots, 0.0), labels, counted
