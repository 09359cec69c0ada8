"""A fixed number of slots for the masks of each image, so that a batch is one tensor; some slots stay empty."""

from collections.abc import Sequence

import torch
from torch import Tensor

from maskadapter.training.adapter.losses import NO_CLASS
from maskadapter.training.batch import MaskTargets


def sample_targets(targets: MaskTargets, slots: int, rng: torch.Generator) -> MaskTargets:
    """At most ``slots`` of the ground-truth masks, drawn without repetition where there are more. rng: on the CPU.

    Source: official MaskFormer-style target sampling.
    """
    if len(targets) <= slots:
        return targets
    return targets[torch.randperm(len(targets), generator=rng)[:slots].to(targets.masks.device)]


def masks_in_slots(masks: Sequence[Tensor], slots: int, fill: float = 0.0) -> Tensor:
    """B times (n, h, w), n at most ``slots`` -> (B, slots, h, w); empty slots hold ``fill``."""
    return torch.stack([torch.cat([m, m.new_full((slots - len(m), *m.shape[1:]), fill)]) for m in masks])


def labels_in_slots(classes: Sequence[Tensor], slots: int) -> Tensor:
    """B times (n,) -> (B, slots); empty slots hold NO_CLASS."""
    return masks_in_slots(classes, slots, NO_CLASS)
