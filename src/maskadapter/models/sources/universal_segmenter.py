"""Mask2Former, MaskFormer and EoMT of transformers as mask sources: their masks without their classes, but for "no
object": a query whose best class it is gives no mask. Source: paper, Table 2, "Mask2Former"."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from maskadapter.errors import MaskAdapterError
from maskadapter.io import encode_mask
from maskadapter.models.preprocess import InputSize, resize
from maskadapter.models.sources.pretrained import pretrained
from maskadapter.results import Upsampler
from maskadapter.types import ImageSizes, Size

_DIVISOR = 32  # of the sides of images that may have any size


class UniversalSegmenter:
    """A mask source. network: of transformers' universal segmentation family. processor: its image processor, from
    which size, mean and standard deviation are taken."""

    def __init__(self, network: Any, processor: Any) -> None:
        self.network, self.processor = network, processor

    @classmethod
    def from_pretrained(cls, name: str, device: str | torch.device = "cpu") -> "UniversalSegmenter":
        """Load ``facebook/mask2former-swin-large-coco-panoptic``, say, or a folder; raises as ``pretrained``."""
        network, processor = pretrained(name, "AutoModelForUniversalSegmentation", "Mask2Former, MaskFormer, EoMT")
        return cls(network.to(device), processor)

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> list[dict[str, Any]]:
        """Masks of an image (H, W, 3) uint8 RGB as annotations with run lengths; none of them is empty."""
        sizes = self._sizes((image.shape[0], image.shape[1]))
        parameter = next(self.network.parameters())
        pixels = torch.tensor(resize(image, sizes.resized)).permute(2, 0, 1).to(parameter) / 255
        colors = (self.processor.image_mean, self.processor.image_std)
        mean, std = (pixels.new_tensor(one)[:, None, None] for one in colors)
        below, right = (full - side for full, side in zip(sizes.padded, sizes.resized, strict=True))
        answer = self.network(pixel_values=F.pad((pixels - mean) / std, (0, right, 0, below))[None])
        if not hasattr(answer, "masks_queries_logits"):
            raise MaskAdapterError(f"{type(self.network).__name__} gives no masks; Mask2Former, MaskFormer and EoMT do")
        classes = answer.class_queries_logits[0]
        found = answer.masks_queries_logits[0][classes.argmax(dim=-1) != classes.shape[-1] - 1]
        upsamplers = (Upsampler(one[None], sizes) for one in found.float())
        masks = (np.concatenate([(up.logits(rows)[0] > 0).cpu().numpy() for rows in up.tiles()]) for up in upsamplers)
        return [{"segmentation": encode_mask(mask)} for mask in masks if mask.any()]

    def _sizes(self, image: Size) -> ImageSizes:
        size = self.processor.size
        shortest = size.get("shortest_edge") or min(size["height"], size["width"])
        longest = size.get("longest_edge") or max(shortest, size.get("height") or 0, size.get("width") or 0)
        fixed = getattr(self.network.config, "image_size", None)
        if fixed is not None:  # a plain vision transformer takes one size
            return ImageSizes((fixed, fixed), InputSize(fixed, fixed).of(image), image)
        height, width = InputSize(shortest, longest).of(image)
        padded = (-(-height // _DIVISOR) * _DIVISOR, -(-width // _DIVISOR) * _DIVISOR)
        return ImageSizes(padded, (height, width), image)
