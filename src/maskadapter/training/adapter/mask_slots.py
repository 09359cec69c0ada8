"""The masks that a step trains on: a fixed number of slots for each image, some of them empty."""

from collections.abc import Sequence

import torch
from torch import Tensor

from maskadapter.training.adapter.losses import NO_CLASS
from maskadapter.training.mask_targets import MaskTargets


def drawn(targets: MaskTargets, slots: int, generator: torch.Generator) -> MaskTargets:
    """At most ``slots`` of the ground-truth masks, without repetition. generator: on the CPU; used where there are more.

    Source: official MaskFormer-style target sampling: randperm where an image has more masks than slots.
    """
    if len(targets) <= slots:
        return targets
    return targets.only(torch.randperm(len(targets), generator=generator)[:slots].to(targets.masks.device))


def in_slots(masks: Sequence[Tensor], slots: int, fill: float = 0.0) -> Tensor:
    """B times (n, h, w), n at most ``slots`` -> (B, slots, h, w); what is left over holds ``fill``."""
    rows = [torch.cat([part, part.new_full((slots - len(part), *part.shape[1:]), fill)]) for part in masks]
    return torch.stack(rows)


def labels_in_slots(classes: Sequence[Tensor], slots: int) -> Tensor:
    """B times (n,) -> (B, slots); what is left over holds NO_CLASS."""
    return torch.stack([torch.cat([part, part.new_full((slots - len(part),), NO_CLASS)]) for part in classes])
