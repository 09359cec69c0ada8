"""Mask cropping: cut each mask out of the image and encode it with CLIP as an image of its own, which is slow. Source:
paper, section 2 and Table 3; OVSeg (Liang et al. 2023), section 3.1."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError
from maskadapter.models.poolers.mask_pooling import Project
from maskadapter.types import ClipFeatures


class MaskCropping(nn.Module):
    """Embed the square box around each mask, everything outside the mask replaced by the mean color. An empty mask has
    the embedding 0. encode: CLIP's embeddings (n, D) of normalized images (n, 3, S, S). size: S. dim: D."""

    def __init__(self, encode: Callable[[Tensor], Tensor], size: int, dim: int) -> None:
        super().__init__()
        self._encode, self.size, self.dim = encode, size, dim

    def forward(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        """Mask embeddings (B, N, D), see ``Pooler``. features, project: not used."""
        return torch.stack([self._of_one(*image) for image in zip(images, mask_logits, strict=True)])

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """Raises MaskAdapterError: nothing is pooled."""
        raise MaskAdapterError("mask cropping has no activation maps: use the pooler adapter or pooling")

    def crop(self, image: Tensor, mask: Tensor) -> Tensor:
        """Cut out one mask. image: (3, H, W), normalized; mask: (H, W) bool, not empty. Returns (3, S, S)."""
        filled = (mask.any(dim=axis).nonzero() for axis in (1, 0))
        (top, bottom), (left, right) = ((int(places[0]), int(places[-1]) + 1) for places in filled)
        side = max(bottom - top, right - left)
        y, x = round((top + bottom - side) / 2), round((left + right - side) / 2)
        canvas = image.new_zeros(3, side, side)  # 0 is the mean color
        rows = slice(max(y, 0), min(y + side, image.shape[1]))
        columns = slice(max(x, 0), min(x + side, image.shape[2]))
        part = image[:, rows, columns] * mask[rows, columns]
        canvas[:, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x] = part
        return F.interpolate(canvas[None], (self.size, self.size), mode="bicubic", antialias=True)[0]

    def _of_one(self, image: Tensor, mask_logits: Tensor) -> Tensor:
        """Embeddings (N, D) of one image (3, H, W) and its mask logits (N, h, w)."""
        embeddings = image.new_zeros(len(mask_logits), self.dim)
        at_a_time = 1 if image.device.type == "cpu" else 16  # on a CPU small tensors stay in its cache
        for chosen in torch.arange(len(mask_logits), device="cpu").split(at_a_time) if len(mask_logits) else ():
            full = F.interpolate(mask_logits[chosen][None], image.shape[1:], mode="bilinear")[0] > 0
            filled = full.flatten(1).any(dim=1)
            if filled.any():
                crops = torch.stack([self.crop(image, mask) for mask in full[filled]])
                embeddings[chosen[filled.cpu()]] = self._encode(crops).to(embeddings)
        return embeddings
