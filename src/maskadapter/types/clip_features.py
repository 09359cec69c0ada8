"""Feature maps of CLIP's image encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """Feature maps that CLIP's image encoder computes for a batch of images.

    pyramid: stage outputs by name, ``res2`` to ``res5``, each (B, C_i, H / stride, W / stride); strides 4, 8, 16, 32
        (the embedded model's trunk stays at 16 in ``res5``). Empty once proposals are made.
    dense: (B, C, h, w), the last map before CLIP's projection, not normalized.
    projected: (B, D, h, w), every location of ``dense`` through CLIP's projection, not normalized: the adapter's input.
    """

    pyramid: Mapping[str, "Tensor"]
    dense: "Tensor"
    projected: "Tensor"
