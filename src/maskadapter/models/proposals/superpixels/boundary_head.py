"""Where things end: a small network on the image and on CLIP's stages, for cutting and merging superpixels."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, PIXEL_WIDTH = 32, 16  # channels from a stage, and from the image
STRIDE = 2  # input pixels per pixel of the result


def _convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU()]


class BoundaryHead(nn.Module):
    """Predict boundaries of an image: of anything that differs, and of whole things and stuff.
    stage_dims: channels of CLIP's stages by name, from the finest to the coarsest."""

    def __init__(self, stage_dims: Mapping[str, int]) -> None:
        super().__init__()
        self.pixels = nn.Sequential(*_convolution(3, PIXEL_WIDTH, STRIDE), *_convolution(PIXEL_WIDTH, PIXEL_WIDTH))
        self.stages = nn.ModuleDict({name: nn.Conv2d(dim, WIDTH, 1) for name, dim in stage_dims.items()})
        self.mixed = nn.Sequential(nn.ReLU(), *_convolution(WIDTH, WIDTH))
        self.output = nn.Sequential(*_convolution(WIDTH + PIXEL_WIDTH, WIDTH), nn.Conv2d(WIDTH, 2, 1))

    def forward(self, pixels: Tensor, pyramid: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, 2, H / STRIDE, W / STRIDE), edges and object boundaries, of normalized pixels (B, 3, H, W) and
        CLIP's stages (B, C, h, w) of them."""
        stages = [layer(pyramid[name]) for name, layer in self.stages.items()]
        size = stages[0].shape[-2:]
        summed = torch.stack([F.interpolate(stage, size, mode="bilinear") for stage in stages]).sum(0)
        fine = self.pixels(pixels)
        coarse = F.interpolate(self.mixed(summed), fine.shape[-2:], mode="bilinear")
        return self.output(torch.cat([coarse, fine], 1))
