"""The MLPs of an image encoder, some cells at a time.

Their hidden layer, four times wider than what comes in and goes out, is the largest tensor of a encoder. A piece of it
that stays in a processor's cache is computed faster, and its memory is used again instead of being given back.
"""

from collections import OrderedDict

import torch
from timm.layers import Mlp
from torch import Tensor, nn

_CELLS = 1024  # at a time, about: pieces of one size, because a small rest takes longer than its share


class PiecewiseMlp(nn.Sequential):
    """A encoder's MLP, with the same names of weights and the same result. (..., C) -> (..., C)."""

    def __init__(self, mlp: Mlp) -> None:
        super().__init__(OrderedDict(mlp.named_children()))  # which stand in the order in which they are applied

    def forward(self, x: Tensor) -> Tensor:
        cells = x.flatten(0, -2)
        pieces = cells.tensor_split(max(1, round(len(cells) / _CELLS))) if x.device.type == "cpu" else [cells]
        return torch.cat([self._of_cells(piece) for piece in pieces]).unflatten(0, x.shape[:-1])

    def _of_cells(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


def compute_in_pieces(image_encoder: nn.Module) -> None:
    """Replace the MLPs of linear layers in a encoder."""
    for module in list(image_encoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, Mlp) and isinstance(child.fc1, nn.Linear):
                setattr(module, name, PiecewiseMlp(child))
