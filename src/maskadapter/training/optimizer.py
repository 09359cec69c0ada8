"""AdamW in groups, and the learning rate over a run. Source: paper, section 4.1; official Trainer.build_optimizer."""

from collections.abc import Callable
from typing import Any, Literal

from torch import nn

from maskadapter.models.mask_adapter import MaskAdapter

Decayed = Literal["official", "matrices"]
"""Which parameters weight decay draws to zero. ``"official"``: all but PyTorch's own LayerNorms and embeddings; the
official adapter has norms of its own inside its blocks and its patchifying layers, so they are decayed, and so are
biases and layer scales. ``"matrices"``: what has two dimensions or more and is no pooler."""


def parameter_groups(module: nn.Module, weight_decay: float, decayed: Decayed) -> list[dict[str, Any]]:
    """The trainable parameters in two groups for an optimizer: with weight decay and without."""
    adapters = [part for part in module.modules() if isinstance(part, MaskAdapter)]
    own_norms = {part for a in adapters for inside in (a.patchify, a.blocks) for part in inside.modules()}
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for part in module.modules():
        spared = isinstance(part, nn.LayerNorm | nn.GroupNorm | nn.Embedding)
        spared = spared and not (decayed == "official" and part in own_norms)
        for parameter in part.parameters(recurse=False):
            if parameter.requires_grad:
                groups[not spared and (decayed == "official" or parameter.ndim > 1)].append(parameter)
    return [{"params": params, "weight_decay": weight_decay * decays} for decays, params in groups.items() if params]


def in_steps(
    milestones: list[int], factor: float, warmup: int = 0, warmup_factor: float = 1.0
) -> Callable[[int], float]:
    """Share of the learning rate at a step: multiplied by ``factor`` at every milestone.

    The first ``warmup`` steps climb in a line from ``warmup_factor`` to 1. Source: detectron2's WarmupMultiStepLR.
    """
    return lambda step: _warmup(step, warmup, warmup_factor) * factor ** sum(step >= mark for mark in milestones)


def polynomial(iterations: int, power: float, warmup: int = 0, warmup_factor: float = 1.0) -> Callable[[int], float]:
    """Share of the learning rate at a step: (1 - step / iterations) ** power, 0 at the end.

    Warm-up as above. Source: official maft, WarmupPolyLR.
    """
    return lambda step: _warmup(step, warmup, warmup_factor) * max(0.0, 1 - step / iterations) ** power


def _warmup(step: int, warmup: int, factor: float) -> float:
    return factor + (1 - factor) * step / warmup if step < warmup else 1.0
