"""Files with the keys and shapes of the official weights, and nothing in them that takes space."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from maskadapter.hub.checkpoints.checkpoint import shapes_of
from maskadapter.hub.checkpoints.key_names import to_official
from maskadapter.models.builder import Architecture, build


@cache
def needed(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Key and shape of every tensor of a model."""
    with torch.device("meta"):
        return dict(shapes_of(build(architecture).state_dict()))


def official_state(architecture: Architecture, seed: int = 0) -> dict[str, Tensor]:
    """A state dict under official names. Every tensor is one random number seen through strides of zero: all shapes are
    real, and the file stays small."""
    rng = torch.Generator().manual_seed(seed)
    shapes = needed(architecture)
    return {to_official(key): torch.rand((), generator=rng).expand(shape) for key, shape in shapes.items()}


def write(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path
