"""Multi-scale deformable attention in plain PyTorch: no compiler, any device. Source: Zhu et al. 2021, equation 3."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Every query looks at a few points around its own place, on every level, and learns where and how much.

    Args:
        dim: channels. num_levels: feature maps. num_heads, num_points: heads, and points per head and level.
    Source: Deformable DETR's MSDeformAttn.
    """

    def __init__(self, dim: int, num_levels: int, num_heads: int = 8, num_points: int = 4) -> None:
        super().__init__()
        self.num_levels, self.num_heads, self.num_points = num_levels, num_heads, num_points
        self.sampling_offsets = nn.Linear(dim, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(dim, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)

    def forward(self, query: Tensor, places: Tensor, values: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Attend.

        query: (B, L, C). places: (L, 2), where each query stands, (x, y) in 0 to 1. values: (B, L, C), the cells of all
        levels one after the other. sizes: (h, w) of each level; their products sum to L. Returns (B, L, C).
        """
        batch, length, dim = query.shape
        shape = (batch, length, self.num_heads, self.num_levels, self.num_points)
        weights = self.attention_weights(query).view(*shape[:3], -1).softmax(dim=-1).view(shape)
        scale = torch.tensor([(w, h) for h, w in sizes], dtype=query.dtype, device=query.device)
        offsets = self.sampling_offsets(query).view(*shape, 2) / scale[:, None]
        locations = places[None, :, None, None, None] + offsets

        levels = self.value_proj(values).split([h * w for h, w in sizes], dim=1)
        attended = torch.zeros((), dtype=query.dtype, device=query.device)
        for level, ((h, w), value) in enumerate(zip(sizes, levels, strict=True)):
            grid = _heads_first(2 * locations[:, :, :, level] - 1)
            maps = value.view(batch, h, w, self.num_heads, -1).permute(0, 3, 4, 1, 2).flatten(0, 1)
            sampled = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            attended = attended + (sampled * _heads_first(weights[:, :, :, level]).unsqueeze(1)).sum(dim=-1)
        attended = attended.view(batch, dim, length).transpose(1, 2)
        return self.output_proj(attended)


def _heads_first(x: Tensor) -> Tensor:
    """(B, L, heads, ...) -> (B * heads, L, ...)."""
    return x.transpose(1, 2).flatten(0, 1)


def cell_centres(sizes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """Where the cells of all levels stand: (L, 2), (x, y) in 0 to 1, in the order of the flattened levels."""
    centres = []
    for h, w in sizes:
        y = (torch.arange(h, dtype=like.dtype, device=like.device) + 0.5) / h
        x = (torch.arange(w, dtype=like.dtype, device=like.device) + 0.5) / w
        centres.append(torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1).flatten(0, 1))
    return torch.cat(centres)
