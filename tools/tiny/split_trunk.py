"""Split the image encoder's trunk into a frozen and a trained part; identity norms are folded away during training."""

from itertools import pairwise

import torch
from open_clip_import import open_clip  # noqa: F401  (makes timm importable)
from teachers import build_trunk
from torch import nn


def lower(trunk: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The frozen part: (B, 3, H, W) -> (B, 64, H / 16, W / 16)."""
    x = trunk.bn1(trunk.conv_stem(images))
    for stage in trunk.blocks[:4]:
        x = stage(x)
    return x


def upper(trunk: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The trained part: (B, 64, h, w) -> dense features (B, 1280, h, w)."""
    for stage in trunk.blocks[4:]:
        x = stage(x)
    return trunk.bn2(trunk.conv_head(x))


def without_norms(trunk: nn.Module) -> nn.Module:
    """The same network with its identity norms turned into the convolutions' biases: faster in training."""
    for module in list(trunk.modules()):
        children = list(module.named_children())
        for (_, convolution), (name, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                convolution.bias = nn.Parameter(norm.bias.detach().clone())
                setattr(module, name, norm.act)
    return trunk


def with_norms(trunk: nn.Module) -> dict[str, torch.Tensor]:
    """State of a trunk from `without_norms` in timm's own keys."""
    result = build_trunk()
    for module in result.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(1 - module.eps)
    state = result.state_dict()
    names = [name for name, module in result.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]
    modules = dict(trunk.named_modules())
    for conv, norm in zip(names[0::2], names[1::2], strict=True):
        state[f"{conv}.weight"], state[f"{norm}.bias"] = (
            modules[conv].weight.detach().clone(),
            modules[conv].bias.detach().clone(),
        )
    return state
