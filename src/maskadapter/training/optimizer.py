"""The optimizer's parameter groups and the learning rate over a run. Source: paper, section 4.1; official configs."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from maskadapter.models import MaskAdapter
from maskadapter.training.quirks import DecayedParameters
from maskadapter.training.recipe import Recipe

Factor = Callable[[int], float]
"""Step, from 0 -> what the learning rate of the recipe is multiplied by."""


def learning_rate_factor(recipe: Recipe) -> Factor:
    schedule = recipe.schedule
    if schedule.kind == "steps":
        return multi_step(schedule.milestones, schedule.factor, schedule.warmup, schedule.warmup_factor)
    return polynomial(recipe.run.iterations, schedule.power, schedule.warmup, schedule.warmup_factor)


def multi_step(milestones: Sequence[int], factor: float, warmup: int = 0, warmup_factor: float = 1.0) -> Factor:
    """Multiply by ``factor`` at every milestone; the first ``warmup`` steps climb linearly from ``warmup_factor`` to 1.

    Source: detectron2's WarmupMultiStepLR.
    """
    return lambda step: _warmup(step, warmup, warmup_factor) * factor ** sum(step >= mark for mark in milestones)


def polynomial(iterations: int, power: float, warmup: int = 0, warmup_factor: float = 1.0) -> Factor:
    """Fall to 0 by (1 - step / iterations) ** power; warm-up as in ``multi_step``. Source: maft, WarmupPolyLR."""
    return lambda step: _warmup(step, warmup, warmup_factor) * max(0.0, 1 - step / iterations) ** power


def _warmup(step: int, warmup: int, factor: float) -> float:
    return factor + (1 - factor) * step / warmup if step < warmup else 1.0


def parameter_groups(module: nn.Module, weight_decay: float, decayed: DecayedParameters) -> list[dict[str, Any]]:
    """The trainable parameters with weight decay and those without, by ``TrainingQuirks.decayed_parameters``."""
    adapters = [part for part in module.modules() if isinstance(part, MaskAdapter)]
    own_norms = {part for a in adapters for inside in (a.patchify, a.blocks) for part in inside.modules()}
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for part in module.modules():
        decays_anyway = decayed == "official" and part in own_norms
        spared = isinstance(part, nn.LayerNorm | nn.GroupNorm | nn.Embedding) and not decays_anyway
        for parameter in part.parameters(recurse=False):
            if parameter.requires_grad:
                groups[not spared and (decayed == "official" or parameter.ndim > 1)].append(parameter)
    return [{"params": params, "weight_decay": weight_decay * decays} for decays, params in groups.items() if params]
