"""Pixel decoder: a deformable transformer over three levels and one step of a feature pyramid. Source: Mask2Former,
section 3.2.1 (MSDeformAttnPixelDecoder), as FC-CLIP uses it."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models.half_precision import as_kept
from maskadapter.models.proposals.mask2former.deformable_attention import DeformableAttention, location_centers

LEVELS = ("res5", "res4", "res3")  # coarsest first, the order in which the decoders look at them
_LOCATIONS = 2048  # that go through a layer at a time on a CPU, where it bounds the memory


class EncoderLayer(nn.Module):
    """Deformable self-attention and a two-layer perceptron, each followed by a LayerNorm. (B, L, C) -> (B, L, C)."""

    FFN_DIM = 1024  # whatever DIM_FEEDFORWARD says. Source: official MSDeformAttnPixelDecoder

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(dim, len(LEVELS), num_heads)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, self.FFN_DIM)
        self.linear2 = nn.Linear(self.FFN_DIM, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, position: Tensor, places: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        # Every location attends to all values, independently of the others.
        values = self.self_attn.values(x)

        def through(part: Tensor, where: Tensor, at: Tensor) -> Tensor:
            attended = self.norm1(part + self.self_attn(part + where, at, values, sizes))
            return self.norm2(attended + self.linear2(F.relu_(self.linear1(attended))))

        # In an exported graph the number of parts would be that of the example's size.
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            return through(x, position, places)
        inputs = (x.split(_LOCATIONS, dim=1), position.split(_LOCATIONS, dim=1), places.split(_LOCATIONS))
        return torch.cat(list(map(through, *inputs)), dim=1)


class PixelDecoder(nn.Module):
    """Refine CLIP's pyramid into three levels and a per-pixel embedding of stride 4. in_dims: channels of ``res2`` to
    ``res5``. dim: of the levels. mask_dim: of the pixel embedding. num_layers, num_heads: of the deformable layers."""

    def __init__(
        self, in_dims: Mapping[str, int], dim: int = 256, mask_dim: int = 256, num_layers: int = 6, num_heads: int = 8
    ) -> None:
        super().__init__()
        self.dim = dim
        projections = ((nn.Conv2d(in_dims[name], dim, kernel_size=1), nn.GroupNorm(32, dim)) for name in LEVELS)
        self.input_proj = nn.ModuleList(nn.Sequential(*layers) for layers in projections)
        self.level_embed = nn.Parameter(torch.zeros(len(LEVELS), dim))
        self.layers = nn.ModuleList(EncoderLayer(dim, num_heads) for _ in range(num_layers))
        self.lateral = _NormedConv(in_dims["res2"], dim, kernel_size=1)
        self.output = _NormedConv(dim, dim, kernel_size=3)
        self.mask_features = nn.Conv2d(dim, mask_dim, kernel_size=1)

    def forward(self, pyramid: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """pyramid: ``res2`` to ``res5``, (B, C_i, h_i, w_i). Returns the pixel embedding (B, mask_dim, H / 4, W / 4)
        and the levels, coarsest first, (B, dim, h_i, w_i)."""
        with as_kept(self.output) as float32:
            maps = [float32(project(pyramid[name])) for project, name in zip(self.input_proj, LEVELS, strict=True)]
            sizes = [(m.shape[-2], m.shape[-1]) for m in maps]
            embeds = self.level_embed[:, :, None, None]
            x = _flatten(maps)
            position = _flatten([sine_position_encoding(m, self.dim) + e for m, e in zip(maps, embeds, strict=True)])
            places = location_centers(sizes, example=x)
            for layer in self.layers:
                x = layer(x, position, places, sizes)
            parts = x.transpose(1, 2).split([h * w for h, w in sizes], dim=-1)
            levels = [part.unflatten(-1, size).contiguous() for part, size in zip(parts, sizes, strict=True)]
            fine = self.lateral(pyramid["res2"])
            # Adding float32 to 16 bits is slow.
            fine += F.interpolate(levels[-1].to(fine), fine.shape[-2:], mode="bilinear", align_corners=False)
            return float32(self.mask_features(F.relu_(self.output(fine)))), levels


def sine_position_encoding(features: Tensor, dim: int) -> Tensor:
    """Encode every location of a feature map by sines and cosines of its row (first half) and column (second half).

    features: (B, C, h, w), only its size, type and device are used. dim: a multiple of 4. Returns (1, dim, h, w).
    Source: Mask2Former's PositionEmbeddingSine with normalize=True: temperature 10000, eps 1e-6."""
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


class _NormedConv(nn.Conv2d):
    """A convolution without bias, then GroupNorm."""

    def __init__(self, in_dim: int, out_dim: int, kernel_size: int) -> None:
        super().__init__(in_dim, out_dim, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.GroupNorm(32, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


def _flatten(maps: list[Tensor]) -> Tensor:
    """Line up the locations of all levels: [(B, C, h_i, w_i)] -> (B, L, C)."""
    return torch.cat([m.flatten(-2) for m in maps], dim=-1).transpose(1, 2)
