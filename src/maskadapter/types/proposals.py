"""Candidate masks of a batch of images, before any text is compared with them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskadapter.errors import MaskError

if TYPE_CHECKING:
    from torch import Tensor

INSIDE = 10.0
"""Mask logit of a location inside a mask that is known exactly; outside it is the negative."""


@dataclass(frozen=True)
class Proposals:
    """N candidate masks for each image of a batch, and what a proposal head needs to classify them by any text.

    mask_logits: (B, N, h, w); a pixel belongs to the mask where the logit is positive.
    class_embeddings: (B, N, D), compared with text embeddings by the head that made them; None for masks from a mask
        source, which classifies nothing.
    parents, areas: (B, N), only from heads with nested masks: the index of the smallest mask around each, -1 for none,
        and the number of locations inside each.

    Raises MaskError when the shapes do not fit together.
    """

    mask_logits: "Tensor"
    class_embeddings: "Tensor | None" = None
    parents: "Tensor | None" = None
    areas: "Tensor | None" = None

    def __post_init__(self) -> None:
        if self.mask_logits.ndim != 4:
            raise MaskError(f"mask_logits has shape {tuple(self.mask_logits.shape)}; (B, N, h, w) is needed")
        if self.class_embeddings is not None and self.class_embeddings.shape[:2] != self.mask_logits.shape[:2]:
            raise MaskError(
                f"class_embeddings has shape {tuple(self.class_embeddings.shape)}; "
                f"(B, N, D) with (B, N) = {tuple(self.mask_logits.shape[:2])} is needed"
            )
