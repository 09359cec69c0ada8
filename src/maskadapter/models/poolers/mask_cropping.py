"""Mask cropping: cut each mask out of the image and show it to CLIP as an image of its own.

The oldest way from a mask to an embedding, and the dearest: CLIP's image encoder runs once per mask. Source: paper,
section 2 and Table 3; OVSeg (Liang et al. 2023), section 3.1.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError
from maskadapter.types.clip_features import ClipFeatures

Encode = Callable[[Tensor], Tensor]
"""(n, 3, S, S), normalized images -> (n, D), their embeddings."""


class MaskCropping(nn.Module):
    """Embed the box of each mask.

    Args:
        encode: CLIP's embedding of whole images. size: pixels of their sides, S. dim: D.
        background: what is around the mask in its box: ``"mean"``, the mean color, or ``"kept"``, what the image
            has there.
        padding: how much larger the box is made on every side, as a share of its longer side, 0 or more.
        square: make the box square around its center, so that proportions are kept; otherwise it is stretched. What
            lies outside of the image has the mean color.
        at_a_time: crops that go through CLIP together; None for 1 on a CPU, where small tensors stay in its cache, and
            16 elsewhere.
    An empty mask has the embedding 0.
    """

    def __init__(
        self,
        encode: Encode,
        size: int,
        dim: int,
        background: Literal["mean", "kept"] = "mean",
        padding: float = 0.0,
        square: bool = True,
        at_a_time: int | None = None,
    ) -> None:
        super().__init__()
        if padding < 0:
            raise MaskAdapterError(f"padding is {padding}; a share of the box's longer side is needed, 0 or more")
        self._encode = encode
        self.size = size
        self.dim = dim
        self.background = background
        self.padding = padding
        self.square = square
        self.at_a_time = at_a_time

    def forward(
        self,
        images: Tensor,
        features: ClipFeatures,
        mask_logits: Tensor,
        project: Callable[[Tensor], Tensor],
        decide: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """See ``Embedding``. Features, projection and decision are not used."""
        return torch.stack([self._of_one(*image) for image in zip(images, mask_logits, strict=True)])

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """Raises MaskAdapterError: nothing is pooled."""
        raise MaskAdapterError("mask cropping has no activation maps: use embedding adapter or pooling")

    def crop(self, image: Tensor, mask: Tensor) -> Tensor:
        """image: (3, H, W); mask: (H, W) bool, not empty -> (3, S, S)."""
        top, bottom = _ends(mask.any(dim=1))
        left, right = _ends(mask.any(dim=0))
        margin = self.padding * max(bottom - top, right - left)
        height, width = bottom - top + 2 * margin, right - left + 2 * margin
        if self.square:
            height = width = max(height, width)
        y, x = round((top + bottom - height) / 2), round((left + right - width) / 2)
        height, width = round(height), round(width)
        canvas = image.new_zeros(3, height, width)  # 0 is the mean color
        rows = slice(max(y, 0), min(y + height, image.shape[1]))
        columns = slice(max(x, 0), min(x + width, image.shape[2]))
        part = image[:, rows, columns]
        if self.background == "mean":
            part = part * mask[rows, columns]
        canvas[:, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x] = part
        return F.interpolate(canvas[None], (self.size, self.size), mode="bicubic", antialias=True)[0]

    def _of_one(self, image: Tensor, mask_logits: Tensor) -> Tensor:
        """(3, H, W), (N, h, w) -> (N, D)."""
        embeddings = image.new_zeros(len(mask_logits), self.dim)
        if not len(mask_logits):
            return embeddings
        at_a_time = self.at_a_time or (1 if image.device.type == "cpu" else 16)
        for chosen in torch.arange(len(mask_logits)).split(at_a_time):
            full = F.interpolate(mask_logits[chosen][None], image.shape[1:], mode="bilinear")[0] > 0
            filled = [(index, mask) for index, mask in zip(chosen.tolist(), full, strict=True) if mask.any()]
            if filled:
                crops = torch.stack([self.crop(image, mask) for _, mask in filled])
                embeddings[[index for index, _ in filled]] = self._encode(crops).to(embeddings)
        return embeddings


def _ends(filled: Tensor) -> tuple[int, int]:
    """(n,) bool -> the first that is True, and one past the last."""
    places = filled.nonzero()
    return int(places[0]), int(places[-1]) + 1
