"""Parameters in groups for AdamW: with weight decay and without. Source: paper, section 4.1."""

from typing import Any

from torch import nn

from maskadapter.models import MaskAdapter
from maskadapter.training.upstream_quirks import DecayedParameters


def parameter_groups(module: nn.Module, weight_decay: float, decayed: DecayedParameters) -> list[dict[str, Any]]:
    """The trainable parameters of a module in two groups: with weight decay and without.

    decayed: see ``TrainingQuirks.decayed_parameters``.
    """
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
