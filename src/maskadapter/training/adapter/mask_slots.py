"""A fixed number of slots for the masks of each image, so that a batch is one tensor; some slots stay empty."""

from collections.abc import Sequence

import torch
from torch import Tensor

from maskadapter.training.adapter.losses import NO_CLASS
from maskadapter.training.mask_targets import MaskTargets


def sample_targets(targets: MaskTargets, slots: int, rng: torch.Generator) -> MaskTargets:
    """At most ``slots`` of the ground-truth masks, without repetition. rng: on the CPU; used where there are more.

    Source: official MaskFormer-style target sampling: randperm where an image has more masks than slots.
    """
    if len(targets) <= slots:
        return targets
    return targets[torch.randperm(len(targets), generator=rng)[:slots].to(targets.masks.device)]


def masks_in_slots(masks: Sequence[Tensor], slots: int, fill: float = 0.0) -> Tensor:
    """B times (n, h, w), n at most ``slots`` -> (B, slots, h, w); empty slots hold ``fill``."""
    padded = [torch.cat([part, part.new_full((slots - len(part), *part.shape[1:]), fill)]) for part in masks]
    return torch.stack(padded)


def labels_in_slots(classes: Sequence[Tensor], slots: int) -> Tensor:
    """B times (n,) -> (B, slots); empty slots hold NO_CLASS."""
    return torch.stack([torch.cat([part, part.new_full((slots - len(part),), NO_CLASS)]) for part in classes])
