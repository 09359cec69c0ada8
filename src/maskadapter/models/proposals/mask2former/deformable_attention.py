"""Multi-scale deformable attention in plain PyTorch: no compiler, any device. Source: Zhu et al. 2021, equation 3."""

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Every query attends to a few points around its own place, on every level; offsets and weights are learned. dim:
    channels. num_levels: feature maps. num_points: per head and level. Source: Deformable DETR's MSDeformAttn."""

    def __init__(self, dim: int, num_levels: int, num_heads: int = 8, num_points: int = 4) -> None:
        super().__init__()
        self.num_levels, self.num_heads, self.num_points = num_levels, num_heads, num_points
        self.sampling_offsets = nn.Linear(dim, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(dim, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)

    def values(self, x: Tensor) -> Tensor:
        """Values to attend to: (B, L, C), the locations of all levels in one row -> (B, L, heads, C / heads)."""
        return self.value_proj(x).unflatten(-1, (self.num_heads, -1))

    def forward(self, query: Tensor, places: Tensor, values: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """query: (B, Q, C). places: (Q, 2), where each query stands, (x, y) in 0 to 1. values: see the method, (B, L,
        heads, C / heads). sizes: (h, w) of each level; their products sum to L. Returns (B, Q, C)."""
        batch, length, dim = query.shape
        shape = (batch, length, self.num_heads, self.num_levels, self.num_points)
        # A softmax along the first axis: along a last one of twelve numbers PyTorch takes three times as long.
        weights = self.attention_weights(query).view(*shape[:3], -1).movedim(-1, 0).contiguous()
        weights = weights.softmax(dim=0, dtype=torch.promote_types(weights.dtype, torch.float32))
        weights = weights.movedim(0, -1).reshape(shape)
        # 16 bits are too few for places on a map. Source: the official code runs its pixel decoder outside autocast.
        with torch.autocast(query.device.type, enabled=False):
            offsets = self.sampling_offsets(query.to(self.sampling_offsets.weight)).view(*shape, 2)
        attend = _sampled if torch.compiler.is_exporting() else _looked_up
        attended = attend(places[None, :, None, None, None], offsets, weights, values, sizes)
        return self.output_proj(attended.reshape(batch, length, dim))


def _looked_up(
    places: Tensor, offsets: Tensor, weights: Tensor, values: Tensor, sizes: Sequence[tuple[int, int]]
) -> Tensor:
    """What is attended to, (B Q heads, C / heads). places: (1, Q, 1, 1, 1, 2), 0 to 1. offsets, weights: (B, Q, heads,
    levels, points), offsets in locations, with a last axis (x, y). values, sizes: see ``DeformableAttention``."""
    rows, shares = _corners(places, offsets, weights, sizes)
    batch, _, num_heads, _ = values.shape
    heads = torch.arange(num_heads, device=values.device, dtype=rows.dtype)[:, None]
    images = torch.arange(batch, device=values.device, dtype=rows.dtype)[:, None, None, None]
    rows = rows.mul_(num_heads).add_(images * values[0, ..., 0].numel() + heads)
    # One table of all locations, a row for each head: reading whole rows is much faster than sampling maps.
    table, shares = values.flatten(0, 2), shares.flatten(0, 2).to(values.dtype)
    return F.embedding_bag(rows.flatten(0, 2), table, per_sample_weights=shares, mode="sum")


def _sampled(
    places: Tensor, offsets: Tensor, weights: Tensor, values: Tensor, sizes: Sequence[tuple[int, int]]
) -> Tensor:
    """As ``_looked_up``, (B, Q, heads, C / heads), by sampling maps: ONNX has an operator for that and none for a table
    with weights."""
    batch, length, heads, _, _ = weights.shape
    attended = []
    parts = values.split([height * width for height, width in sizes], dim=1)
    for level, ((height, width), part) in enumerate(zip(sizes, parts, strict=True)):
        x = places[..., 0, 0] + offsets[..., level, :, 0] / width
        y = places[..., 0, 1] + offsets[..., level, :, 1] / height
        grid = (2 * torch.stack([x, y], dim=-1) - 1).transpose(1, 2).flatten(0, 1)  # (B heads, Q, points, 2)
        maps = part.permute(0, 2, 3, 1).reshape(batch * heads, -1, height, width)
        found = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        share = weights[..., level, :].transpose(1, 2).reshape(batch * heads, 1, length, -1)
        attended.append((found * share).sum(dim=-1))
    return sum(attended[1:], attended[0]).unflatten(0, (batch, heads)).permute(0, 3, 1, 2)


def _corners(
    places: Tensor, offsets: Tensor, weights: Tensor, sizes: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Indices of the four locations around every point among those of all levels, and their bilinear weights, both
    (B, Q, heads, 4 * levels * points); beyond the border is 0. offsets: from places, in locations."""
    _, _, heads, _, points = weights.shape
    firsts = [0, *accumulate(height * width for height, width in sizes)][:-1]
    # Heads, levels and points are one axis, which no operation broadcasts over: it takes a third of the time. Indices
    # are floating-point numbers at first, exact up to 2 ** 24.
    kept = torch.promote_types(offsets.dtype, torch.float32)
    levels = torch.tensor([*zip(*sizes, strict=True), firsts], dtype=kept, device=offsets.device)
    heights, widths, starts = levels.repeat_interleave(points, dim=1).repeat(1, heads)
    x, y = offsets.movedim(-1, 0).flatten(-3).to(kept).contiguous()
    right, down = places.flatten(2).split(1, dim=-1)
    columns = _neighbors(torch.addcmul(x, right, widths), widths)
    lines = _neighbors(torch.addcmul(y, down, heights), heights)
    rows, shares = [], []
    for line, height in lines:
        row, share = torch.addcmul(starts, line, widths), weights.flatten(-3) * height
        for column, width in columns:
            rows.append((row + column).int().unflatten(-1, (heads, -1)))
            shares.append((share * width).unflatten(-1, (heads, -1)))
    return torch.cat(rows, dim=-1), torch.cat(shares, dim=-1)


def _neighbors(x: Tensor, length: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The location before and after every point of an axis, 0 to length: indices and interpolation weights."""
    place = x - 0.5  # a location's center lies half a location from its border
    low = place.detach().floor()
    beyond = place - low
    both, zero = ((low, 1 - beyond), (low + 1, beyond)), low.new_zeros(())
    inside = ((i, i.clamp(zero, length - 1), share) for i, share in both)
    return [(near, share * (near == i)) for i, near, share in inside]


def location_centers(sizes: Sequence[tuple[int, int]], example: Tensor) -> Tensor:
    """Centers of the locations of all flattened levels, (L, 2), (x, y) in 0 to 1, type and device of ``example``."""
    axes = [[(torch.arange(n, dtype=example.dtype, device=example.device) + 0.5) / n for n in size] for size in sizes]
    return torch.cat([torch.cartesian_prod(y, x).flip(-1) for y, x in axes])
