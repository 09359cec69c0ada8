"""The initial weights of a mask generator; whatever is not named here keeps PyTorch's own initialization.

Source: Mask2Former's official pixel decoder and mask decoder; Deformable DETR, appendix A.4.
"""

import math

import torch
from torch import nn
from torch.nn import init

from maskadapter.models.proposals.mask2former import DeformableAttention, Mask2FormerHead


@torch.no_grad()
def initialize_mask_generator(head: Mask2FormerHead, rng: torch.Generator) -> None:
    """Draw the weights anew, in place. rng: on the device of the weights."""
    pixels, masks = head.pixel_decoder, head.mask_decoder
    for layers in (pixels.layers, masks.layers, *pixels.input_proj):
        for weight in layers.parameters():
            if weight.ndim > 1:
                init.xavier_uniform_(weight, generator=rng)
    for module in pixels.modules():
        if isinstance(module, DeformableAttention):
            _initialize_attention(module)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            init.zeros_(module.bias)
    for convolution in (pixels.lateral, pixels.output, pixels.mask_features):
        init.kaiming_uniform_(convolution.weight, a=1, generator=rng)
    init.normal_(pixels.level_embed, generator=rng)


def _initialize_attention(attention: DeformableAttention) -> None:
    """Each head samples in a direction of its own, at 1, 2, 3, ... feature locations; all points weigh the same."""
    angles = torch.arange(attention.num_heads) * (2 * math.pi / attention.num_heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
    directions = directions / directions.abs().amax(dim=-1, keepdim=True)
    offsets = directions[:, None, None] * torch.arange(1, attention.num_points + 1)[:, None]
    init.zeros_(attention.sampling_offsets.weight)
    attention.sampling_offsets.bias.copy_(offsets.expand(-1, attention.num_levels, -1, -1).flatten())
    for linear in (attention.attention_weights, attention.value_proj, attention.output_proj):
        init.zeros_(linear.bias)
    init.zeros_(attention.attention_weights.weight)
