"""Sine position encoding of feature maps."""

import math

import torch
from torch import Tensor


def sine_position_encoding(features: Tensor, dim: int) -> Tensor:
    """Encode every location of a feature map by sines and cosines of its row (first half) and column (second half).

    features: (B, C, h, w), only its size, type and device are used. dim: a multiple of 4. Returns (1, dim, h, w).
    Positions run from 1 / n to 1 (almost) and are scaled to 2 pi; sine and cosine alternate. Source: Mask2Former's
    PositionEmbeddingSine with normalize=True: temperature 10000, eps 1e-6."""
    height, width = features.shape[-2:]
    quarter = torch.arange(dim // 4, dtype=torch.float32, device=features.device)
    wavelength = 10000 ** (2 * quarter / (dim // 2))

    def encode(count: int) -> Tensor:
        position = torch.arange(1, count + 1, dtype=torch.float32, device=features.device)
        angle = (position / (count + 1e-6) * 2 * math.pi)[:, None] / wavelength
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)

    rows = encode(height)[:, None].expand(height, width, -1)
    columns = encode(width)[None].expand(height, width, -1)
    return torch.cat([rows, columns], dim=-1).permute(2, 0, 1).unsqueeze(0).to(features.dtype)
