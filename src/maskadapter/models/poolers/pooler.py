"""What the segmenter needs of a pooler: CLIP embeddings of masks, comparable with text embeddings."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from maskadapter.types import ClipFeatures

Project = Callable[[Tensor], Tensor]
"""CLIP's projection into the space of text embeddings, (..., C) -> (..., D)."""


class Pooler(Protocol):
    """Turns masks into CLIP embeddings."""

    def __call__(self, images: Tensor, features: ClipFeatures, mask_logits: Tensor, project: Project) -> Tensor:
        """Mask embeddings (B, N, D), not normalized. images: (B, 3, H, W), normalized and padded. mask_logits:
        (B, N, h, w). project: see ``Project``."""
        ...

    def weights(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """Pooling weights (B, N, M, h, w) over the locations of ``features.dense``, M maps per mask, each sums to 1."""
        ...
