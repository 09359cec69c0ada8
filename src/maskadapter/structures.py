"""The values that models hand to each other.

Axes, in this order wherever they occur: B images, N proposals, M activation maps per proposal, K classes, S synonym
rows, C channels, D embedding; H W image pixels, h w feature cells. ``size`` is (height, width). A suffix says what a
number is: ``_logits`` (any real), ``_probs`` (0 to 1), none = bool.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskadapter.errors import MaskError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClipFeatures:
    """What a CLIP image tower sees in a batch of pictures.

    pyramid: stage outputs by name, ``res2`` to ``res5``, each (B, C_i, H / stride, W / stride); strides 4, 8, 16, 32
        (the embedded model's trunk stays at 16 in ``res5``).
    dense: (B, C, h, w), the last map before CLIP's projection, not normalised.
    projected: (B, D, h, w), every cell of ``dense`` through CLIP's projection, not normalised: the adapter's input.
    """

    pyramid: Mapping[str, "Tensor"]
    dense: "Tensor"
    projected: "Tensor"


@dataclass(frozen=True)
class Proposals:
    """Candidate masks of a batch of pictures and, where the generator classifies, its opinion of each.

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
