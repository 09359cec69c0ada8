"""Mask-Adapter: predict from masks and CLIP's dense features where to pool, then pool. Source: paper, section 3.2.

Pooling CLIP's features inside a mask classifies it poorly: CLIP was trained on whole images, and its evidence for an
object is not spread evenly inside the object's outline. The adapter takes the mask and the features together and
predicts *where to pool*: M semantic activation maps per mask, each a weighting of all feature locations
(``MaskAdapter``, equation 3). CLIP's own features are pooled with them (``pool_with_maps``, equation 4), so that the
resulting mask embedding still matches any text.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskadapter.models.config import AdapterConfig
from maskadapter.models.timm_layers import LayerNorm2d


class ConvNeXtBlock(nn.Module):
    """A ConvNeXt (v1) block: 7x7 depth-wise convolution, LayerNorm, a four times wider MLP, layer scale, residual.

    (B, C, h, w) -> the same shape. Source: Liu et al. 2022, figure 4; layer scale starts at 1e-6 as there.
    """

    KERNEL = 7

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=self.KERNEL, padding=self.KERNEL // 2, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(self.dwconv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def residual(self, y: Tensor) -> Tensor:
        """The residual branch after the convolution, location by location: (..., C) -> (..., C)."""
        return self.gamma * self.narrowed(self.widened(y))

    def widened(self, y: Tensor) -> Tensor:
        """The norm and the first layer of the MLP, before the activation: (..., C) -> (..., 4 C)."""
        return self.pwconv1(self.norm(y))

    def narrowed(self, hidden: Tensor) -> Tensor:
        """The activation and the second layer of the MLP: (..., 4 C) -> (..., C)."""
        return self.pwconv2(F.gelu(hidden))


class MaskAdapter(nn.Module):
    """Predict semantic activation maps from masks and CLIP's features. Source: paper, section 3.2, equation 3.

    The mask is patchified to the features' resolution, added to the features, fused by three ConvNeXt blocks, and read
    out as ``num_maps`` maps.

    Args:
        feature_dim: D, channels of the projected dense features (768 for ConvNeXt-L, 640 for ConvNeXt-B).
        config: how it is built; None for the paper's settings.

    ``checkpoint_blocks`` may be set for training: the backward pass then computes the blocks again. Where the official
    code differs from the text, the code is followed, since it made the published weights: each pooled vector is
    projected into the text space *before* the mean (see ``pool_with_maps``), and between the fusing convolution and the
    first block stands no activation.
    """

    MASK_DIM = 16  # channels of the patchified mask. Source: official MASK_IN_CHANNELS

    def __init__(self, feature_dim: int, config: AdapterConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AdapterConfig()
        self.checkpoint_blocks = False
        self.patchify = nn.Sequential(*_patchify_layers(config.patchify, self.MASK_DIM, feature_dim))
        concatenated = config.use_features and config.fusion == "concatenate"
        self.fuse = nn.Conv2d(2 * feature_dim if concatenated else feature_dim, config.hidden_dim, kernel_size=1)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.hidden_dim) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(config.hidden_dim)
        self.final = nn.Conv2d(config.hidden_dim, config.num_maps, kernel_size=1)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Predict the semantic activation maps of every mask.

        features: (B, D, h, w), CLIP's dense features after its projection, not normalized.
        masks: (B, N, H, W), 0 to 1 or bool, any resolution; resized to four times the features' here.
        Returns (B, N, M, h, w) raw maps; ``pooling_weights`` normalizes them.
        """
        batch, count = masks.shape[:2]
        height, width = features.shape[-2:]
        masks = F.interpolate(masks.to(features.dtype), (4 * height, 4 * width), mode="bilinear", align_corners=False)
        patches = self.patchify(masks.flatten(0, 1).unsqueeze(1))
        features = features.repeat_interleave(count, dim=0)

        x = self.fuse(self.merge(features, patches))
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpoint_blocks else block(x)
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.final(x).view(batch, count, self.config.num_maps, height, width)

    def merge(self, features: Tensor, patches: Tensor) -> Tensor:
        """Join features and patchified masks, (N, D, h, w) each, for the fusing convolution."""
        if not self.config.use_features:
            return patches
        return features + patches if self.config.fusion == "add" else torch.cat([features, patches], dim=1)


def pool_with_maps(activation_maps: Tensor, dense_features: Tensor, project: Callable[[Tensor], Tensor]) -> Tensor:
    """Equation 4: pool CLIP's features with each of a mask's M maps, project what is pooled, average over the maps.

    activation_maps: (N, M, h, w), raw maps of one image's N masks. dense_features: (C, h, w), CLIP's last map before
    its projection. project: CLIP's projection, (..., C) -> (..., D).
    Returns mask embeddings (N, D), not normalized: comparable with CLIP's text embeddings.
    Source: paper, equation 4; the projection before the mean is the official code's.
    """
    pooled = pooling_weights(activation_maps) @ dense_features.flatten(1).T
    return project(pooled).mean(dim=1)


def pooling_weights(activation_maps: Tensor) -> Tensor:
    """Normalize maps to weights that sum to 1 over all locations: sigmoid(map) / sum(sigmoid(map)).

    (..., M, h, w) -> (..., M, h * w). Computed as softmax(logsigmoid(map)), which is the same and does not divide by
    zero where every sigmoid underflows. Source: paper, equation 4; official code.
    """
    return F.logsigmoid(activation_maps.flatten(-2)).softmax(dim=-1)


def _patchify_layers(kind: str, mask_dim: int, feature_dim: int) -> list[nn.Module]:
    """Layers that embed masks at the features' resolution: (N, 1, 4h, 4w) -> (N, feature_dim, h, w)."""
    if kind == "two-3x3":
        first = mask_dim // 4
        layers: list[nn.Module] = [
            nn.Conv2d(1, first, kernel_size=3, stride=2, padding=1),
            LayerNorm2d(first, eps=1e-6),
            nn.GELU(),
            nn.Conv2d(first, mask_dim, kernel_size=3, stride=2, padding=1),
        ]
    elif kind == "one-4x4":
        layers = [nn.Conv2d(1, mask_dim, kernel_size=4, stride=4)]
    else:
        raise ValueError(f"patchify is '{kind}'; 'two-3x3' or 'one-4x4' is needed")
    return [*layers, LayerNorm2d(mask_dim, eps=1e-6), nn.GELU(), nn.Conv2d(mask_dim, feature_dim, kernel_size=1)]
