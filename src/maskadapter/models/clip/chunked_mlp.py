"""Compute the MLPs of an image encoder some locations at a time: their hidden layer, four times wider than input and
output, is its largest tensor, and a piece of it that stays in a processor's cache is computed faster."""

from collections import OrderedDict

import torch
from timm.layers import Mlp
from torch import Tensor, nn

_LOCATIONS = 1024  # at a time, about: pieces of equal size, because a small remainder takes longer than its share


class PiecewiseMlp(nn.Sequential):
    """An encoder's MLP with the same weight names and the same result, (..., C) -> (..., C)."""

    def __init__(self, mlp: Mlp) -> None:
        super().__init__(OrderedDict(mlp.named_children()))  # which stand in the order in which they are applied

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        pieces = rows.tensor_split(max(1, round(len(rows) / _LOCATIONS))) if x.device.type == "cpu" else [rows]
        return torch.cat(list(map(super().forward, pieces))).unflatten(0, x.shape[:-1])


def compute_in_pieces(image_encoder: nn.Module) -> None:
    """Replace an encoder's MLPs of linear layers by ``PiecewiseMlp``."""
    for module in list(image_encoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, Mlp) and isinstance(child.fc1, nn.Linear):
                setattr(module, name, PiecewiseMlp(child))
