"""Feature maps of CLIP's image encoder: features to pool, and the projection of pooled features into the text space.

A convolutional encoder ends in a mean over all locations, so that the features of one can stand for an image. Encoders
that end in attention are read along its value path: each location as if it attended to itself alone. Source: MaskCLIP
(Zhou et al. 2022), section 3.2 and its code."""

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import lcm
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from timm.layers import Mlp, RotaryEmbeddingCat, resample_abs_pos_embed
from timm.models.eva import Eva
from torch import Tensor, nn
from torch.func import functional_call

from maskadapter.errors import MaskAdapterError
from maskadapter.models.half_precision import HALF

STAGES = ("res2", "res3", "res4", "res5")
# At a time, about: pieces of equal size, because a small remainder takes longer than its share. In 16 bits twice as
# many, which take the same space: that half as many are slow is said in ``sparse_adapter.py``.
_LOCATIONS = 1024
_SEQUENCES = 2**15  # at a time: CUDA's attention takes fewer than 2**16


@dataclass(frozen=True)
class WholeImageEncoder:
    """Any encoder, for whole images alone: enough to embed crops. The other encoders here also give feature maps.
    visual: an image encoder of open_clip, whose weights are read; this holds none of its own."""

    visual: Any
    size_divisor: ClassVar[int] = 32  # height and width of the input must be multiples of it

    def features(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Dense features (B, C, h, w) of images (B, 3, H, W), and the outputs of the stages where there are stages."""
        return images.new_zeros(len(images), 1, 0, 0), {}

    def project(self, features: Tensor) -> Tensor:
        """Project features, pooled or of one location, (n, C) -> (n, D)."""
        if features.numel():
            raise MaskAdapterError(f"{type(self.visual).__name__} has no feature map to pool: use the pooler cropping")
        return features

    def whole(self, images: Tensor) -> Tensor:
        """One vector per image, (B, D), of images (B, 3, S, S) at the size that the encoder was trained with."""
        pooled = self.visual(images)
        return pooled[0] if isinstance(pooled, tuple) else pooled  # some encoders, CoCa's, also return their tokens


class ConvolutionalEncoder(WholeImageEncoder):
    """A timm network that ends in a mean over all locations, as ConvNeXt. visual: open_clip's ``TimmModel``."""

    def features(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        dense, stages = self.visual.trunk.forward_intermediates(images)
        return dense, dict(zip(STAGES, stages[-len(STAGES) :], strict=True))

    def project(self, features: Tensor) -> Tensor:
        return self.visual.head(self.visual.trunk.forward_head(features[:, :, None, None]).flatten(1))

    def whole(self, images: Tensor) -> Tensor:
        return self.project(self.features(images)[0].mean(dim=(-2, -1)))


@dataclass(frozen=True)
class JoinedEncoder(ConvolutionalEncoder):
    """A convolutional encoder whose features are earlier stages and the last map together, all of one size. joined:
    the stages, whose channels come first. The head projects all of them."""

    joined: tuple[str, ...] = ()

    def features(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        dense, pyramid = super().features(images)
        return torch.cat([*(pyramid[stage] for stage in self.joined), dense], dim=1), pyramid

    def project(self, features: Tensor) -> Tensor:
        return self.visual.head(features)


class AttentionPoolEncoder(WholeImageEncoder):
    """OpenAI's ResNets, which end in an attention over all locations. visual: open_clip's ``ModifiedResNet``."""

    def features(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        stages = self.visual.forward_intermediates(images, intermediates_only=True)["image_intermediates"]
        return stages[-1], dict(zip(STAGES, stages[-len(STAGES) :], strict=True))

    def project(self, features: Tensor) -> Tensor:
        return self.visual.attnpool.c_proj(self.visual.attnpool.v_proj(features))


class TransformerEncoder(WholeImageEncoder):
    """A vision transformer. Its position embeddings are interpolated to the size of the input, as open_clip does it.
    visual: open_clip's ``VisionTransformer``, with its own attention blocks and no attention pooling."""

    @property
    def size_divisor(self) -> int:  # type: ignore[override]
        return lcm(*self.visual.patch_size, 4)  # masks at stride 4 must fit too

    def features(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        visual, blocks = self.visual, self.visual.transformer.resblocks
        places, grid = visual.positional_embedding[None], _grid(images, visual.patch_size)
        replaced = {"visual.positional_embedding": resample_abs_pos_embed(places, grid, visual.grid_size)[0]}
        before = functional_call(_BeforeLastBlock(visual, len(blocks)), replaced, (images,))
        return _alone(blocks[-1], before.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), {}

    def project(self, features: Tensor) -> Tensor:
        normed = self.visual.ln_post(features)
        return normed if self.visual.proj is None else normed @ self.visual.proj


class EvaEncoder(WholeImageEncoder):
    """EVA-CLIP's vision transformer. Its position embeddings, absolute and rotary, are those of the input's grid.
    visual: open_clip's ``TimmModel`` of timm's ``Eva``, without attention pooling. Source: CLIPSelf (Wu et al. 2024),
    ``encode_dense``, which leaves out the attention of the last block too."""

    @property
    def size_divisor(self) -> int:  # type: ignore[override]
        return lcm(*self.visual.trunk.patch_embed.patch_size, 4)  # masks at stride 4 must fit too

    def features(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        trunk = self.visual.trunk
        embed = trunk.patch_embed
        embed.strict_img_size = False  # or it refuses all sizes but the trained one
        grid, others = _grid(images, embed.patch_size), 0 if trunk.no_embed_class else trunk.num_prefix_tokens
        places = resample_abs_pos_embed(trunk.pos_embed, grid, embed.grid_size, others)
        replaced = {"visual.trunk.pos_embed": places}
        if trunk.rope is not None:
            rope = deepcopy(trunk.rope)
            rope.update_feat_shape(grid)
            replaced["visual.trunk.rope.pos_embed"] = rope.get_embed()
        before = functional_call(_BeforeLastBlock(self.visual, len(trunk.blocks)), replaced, (images,))
        locations = before.flatten(2).mT.reshape(-1, 1, before.shape[1])  # sequences of one: attention has no choice
        alone = torch.cat([trunk.blocks[-1](piece) for piece in locations.split(_SEQUENCES)])
        return alone.view(len(images), *grid, -1).permute(0, 3, 1, 2), {}

    def project(self, features: Tensor) -> Tensor:
        trunk = self.visual.trunk
        return self.visual.head(trunk.head(trunk.fc_norm(trunk.norm(features))))


class _BeforeLastBlock(nn.Module):
    """Input (B, C, h, w) of the last block of ``depth``, for images (B, 3, H, W)."""

    def __init__(self, visual: Any, depth: int) -> None:
        super().__init__()
        self.visual, self._index = visual, depth - 2

    def forward(self, images: Tensor) -> Tensor:
        options = {"indices": [self._index], "stop_early": True, "intermediates_only": True}
        return self.visual.forward_intermediates(images, **options)["image_intermediates"][0]


def _grid(images: Tensor, patch: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the patches of images (B, 3, H, W)."""
    return images.shape[-2] // patch[0], images.shape[-1] // patch[1]


def _alone(block: Any, x: Tensor) -> Tensor:
    """Apply a block of open_clip's transformer to locations (..., C) that attend to themselves alone."""
    attention, width = block.attn, x.shape[-1]
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[2 * width :]
    values = F.linear(block.ln_1(x), attention.in_proj_weight[2 * width :], bias)
    x = x + block.ls_1(attention.out_proj(values))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def image_encoder_of(visual: Any) -> WholeImageEncoder:
    """Wrap an image encoder of open_clip so that it gives a feature map. Raises MaskAdapterError for one without."""
    trunk = getattr(visual, "trunk", visual)
    if isinstance(visual, ModifiedResNet):
        return AttentionPoolEncoder(visual)
    if isinstance(visual, VisionTransformer):
        last = visual.transformer.resblocks[-1]
        if visual.attn_pool is None and isinstance(getattr(last, "attn", None), nn.MultiheadAttention):
            return TransformerEncoder(visual)
    elif isinstance(trunk, Eva):
        if trunk.attn_pool is None and isinstance(trunk.rope, RotaryEmbeddingCat | None):
            return EvaEncoder(visual)
    elif hasattr(visual, "trunk") and not hasattr(trunk, "patch_embed") and not hasattr(visual.head, "pool"):
        return ConvolutionalEncoder(visual)
    raise MaskAdapterError(
        f"this image encoder ({type(trunk).__name__}) has no feature map to pool: use the pooler cropping"
    )


class PiecewiseMlp(nn.Sequential):
    """An encoder's MLP, (..., C) -> (..., C), computed some locations at a time, with the same weight names and result:
    its hidden layer, four times wider, is the largest tensor, and a piece that stays in the cache is faster."""

    def __init__(self, mlp: Mlp) -> None:
        super().__init__(OrderedDict(mlp.named_children()))  # which stand in the order in which they are applied

    def forward(self, x: Tensor) -> Tensor:
        whole: Callable[[Tensor], Tensor] = super().forward
        if torch.compiler.is_exporting():  # the number of pieces would be that of the example's size
            return whole(x)
        rows = x.flatten(0, -2)
        at_a_time = 2 * _LOCATIONS if self[0].weight.dtype in HALF else _LOCATIONS
        pieces = rows.tensor_split(max(1, round(len(rows) / at_a_time))) if x.device.type == "cpu" else [rows]
        return torch.cat(list(map(whole, pieces))).unflatten(0, x.shape[:-1])


def compute_in_pieces(image_encoder: nn.Module) -> None:
    """Replace an encoder's MLPs of linear layers by ``PiecewiseMlp``."""
    for module in list(image_encoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, Mlp) and isinstance(child.fc1, nn.Linear):
                setattr(module, name, PiecewiseMlp(child))
