"""Mask2Former, MaskFormer and EoMT of transformers as mask generators: their masks, our names.

They were trained on a closed list of classes. What they take a mask for is left aside; whether it is of anything at
all is kept. Source: paper, Table 2, "Mask2Former".
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError
from maskadapter.models.classifier import TextClassifier
from maskadapter.models.preprocess import InputSize, from_batch, resize
from maskadapter.models.sources.given_masks import INSIDE, as_proposals
from maskadapter.models.sources.pretrained import pretrained
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.proposals import Proposals

_DIVISOR = 32  # of the sides of images that may have any size


class UniversalSegmenter(nn.Module):
    """Class-agnostic proposals, with the probability that each is of nothing.

    Args:
        network: of transformers' universal segmentation family. processor: its image processor: size, mean and
        standard deviation are taken from it.
    """

    def __init__(self, network: nn.Module, processor: Any) -> None:
        super().__init__()
        self.network = network
        self.processor = processor

    @classmethod
    def from_pretrained(cls, name: str) -> "UniversalSegmenter":
        """name: of a model on the Hugging Face hub (``facebook/mask2former-swin-large-coco-panoptic``), or a folder.

        Raises MaskAdapterError, one line, for names that do not exist or are gated, without a network, and for models
        of another kind.
        """
        kind = "AutoModelForUniversalSegmentation"
        return cls(*pretrained(name, kind, "Mask2Former, MaskFormer, EoMT"))

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        """images: (B, 3, H, W), normalized and padded; the others are not used. Returns mask logits (B, N, H / 4,
        W / 4), the probability that a mask is of nothing, (B, N), and no class logits."""
        masks, void = zip(*(self._of_one(image) for image in images), strict=True)
        return as_proposals(masks, void)

    def _of_one(self, image: Tensor) -> tuple[Tensor, Tensor]:
        pixels_of = from_batch(image)
        original = (pixels_of.shape[0], pixels_of.shape[1])
        resized, padded = self._sizes(original)
        processor, parameter = self.processor, next(self.network.parameters())
        pixels = torch.tensor(resize(pixels_of, resized)).permute(2, 0, 1).to(parameter) / 255
        mean, std = (pixels.new_tensor(one)[:, None, None] for one in (processor.image_mean, processor.image_std))
        pixels = F.pad((pixels - mean) / std, (0, padded[1] - resized[1], 0, padded[0] - resized[0]))
        answer = self.network(pixel_values=pixels[None])
        if not hasattr(answer, "masks_queries_logits"):
            raise MaskAdapterError(f"{type(self.network).__name__} gives no masks; Mask2Former, MaskFormer and EoMT do")
        shares = (resized[0] / padded[0], resized[1] / padded[1])
        logits = answer.masks_queries_logits[0].to(image)
        masks = _read(logits, shares, original, (image.shape[1], image.shape[2]))
        return masks, answer.class_queries_logits[0].softmax(dim=-1)[:, -1].to(image)

    def _sizes(self, image: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """What an image is resized to, and padded to: (height, width) each."""
        size = self.processor.size
        shortest = size.get("shortest_edge") or min(size["height"], size["width"])
        longest = size.get("longest_edge") or max(shortest, size.get("height") or 0, size.get("width") or 0)
        fixed = getattr(self.network.config, "image_size", None)
        if fixed is not None:  # a plain vision transformer takes one size
            return InputSize(fixed, fixed).of(image), (fixed, fixed)
        resized = InputSize(shortest, longest).of(image)
        return resized, (-(-resized[0] // _DIVISOR) * _DIVISOR, -(-resized[1] // _DIVISOR) * _DIVISOR)


def _read(logits: Tensor, shares: tuple[float, float], image: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Mask logits at the cells of stride 4 of another input.

    logits: (N, h, w), of the network's own padded input, of which the image takes ``shares`` (height, width).
    image: its size in the other input, of ``size``; (height, width) each. Returns (N, size / 4).
    """
    lines, columns = (
        (torch.arange(full // 4, device=logits.device) + 0.5) * 4 / side for full, side in zip(size, image, strict=True)
    )
    y, x = torch.meshgrid(2 * lines * shares[0] - 1, 2 * columns * shares[1] - 1, indexing="ij")
    read = F.grid_sample(logits[None], torch.stack([x, y], dim=-1)[None], padding_mode="border", align_corners=False)[0]
    inside = (lines < 1)[:, None] & (columns < 1)
    return torch.where(inside, read, -INSIDE)
