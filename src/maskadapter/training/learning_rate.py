"""The learning rate over a run, as a factor at every step. Source: paper, section 4.1; official configurations."""

from collections.abc import Callable, Sequence

from maskadapter.training.recipe import Recipe

Factor = Callable[[int], float]
"""Step, from 0 -> what the learning rate of the recipe is multiplied by."""


def learning_rate_factor(recipe: Recipe) -> Factor:
    """The factor that a recipe's schedule gives."""
    schedule = recipe.schedule
    if schedule.kind == "steps":
        return multi_step(schedule.milestones, schedule.factor, schedule.warmup, schedule.warmup_factor)
    return polynomial(recipe.run.iterations, schedule.power, schedule.warmup, schedule.warmup_factor)


def multi_step(milestones: Sequence[int], factor: float, warmup: int = 0, warmup_factor: float = 1.0) -> Factor:
    """Multiply by ``factor`` at every milestone.

    The first ``warmup`` steps climb linearly from ``warmup_factor`` to 1. Source: detectron2's WarmupMultiStepLR.
    """
    return lambda step: _warmup(step, warmup, warmup_factor) * factor ** sum(step >= mark for mark in milestones)


def polynomial(iterations: int, power: float, warmup: int = 0, warmup_factor: float = 1.0) -> Factor:
    """Fall to 0 at the end: (1 - step / iterations) ** power.

    Warm-up as in ``multi_step``. Source: official maft, WarmupPolyLR.
    """
    return lambda step: _warmup(step, warmup, warmup_factor) * max(0.0, 1 - step / iterations) ** power


def _warmup(step: int, warmup: int, factor: float) -> float:
    return factor + (1 - factor) * step / warmup if step < warmup else 1.0
