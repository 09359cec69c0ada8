"""Candidate masks of a batch of images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskadapter.errors import MaskError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Proposals:
    """Candidate masks of a batch of images and, where the generator classifies, its opinion of each.

    mask_logits: (B, N, h, w); a pixel belongs to the mask where sigmoid(logit) > 0.5.
    class_logits: (B, N, K + 1), the void class last, or None from a generator that does not classify (SAM, files).
    void_probs: (B, N), 0 to 1, how surely a mask is of nothing, from a generator that tells this without our classes.

    Raises MaskError when the shapes do not fit together.
    """

    mask_logits: "Tensor"
    class_logits: "Tensor | None" = None
    void_probs: "Tensor | None" = None

    def __post_init__(self) -> None:
        if self.mask_logits.ndim != 4:
            raise MaskError(f"mask_logits has shape {tuple(self.mask_logits.shape)}; (B, N, h, w) is needed")
        if self.class_logits is not None and self.class_logits.shape[:2] != self.mask_logits.shape[:2]:
            raise MaskError(
                f"class_logits has shape {tuple(self.class_logits.shape)}; "
                f"(B, N, K + 1) with (B, N) = {tuple(self.mask_logits.shape[:2])} is needed"
            )
