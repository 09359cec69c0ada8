"""Everything that a model computes of one image before it sees any text."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """One image after its pass through the networks: plain data that can be pickled, cached or sent to a worker.

    It holds no model, and belongs to the model that made it.

    image: (H, W, 3) uint8 RGB, upright. file_name: of the image's file, None where it came from memory.
    sizes: see ``ImageSizes``. features: CLIP's, without the pyramid.
    proposals: of one image (B = 1), independent of any text; None from a model without a proposal head.
    mask_embeddings: (1, N, D) CLIP embeddings of the proposals; None where they are computed for each list of classes,
        because the model prunes proposals.
    """

    image: "np.ndarray" = field(repr=False)
    file_name: str | None
    sizes: ImageSizes
    features: ClipFeatures = field(repr=False)
    proposals: Proposals | None = field(repr=False)
    mask_embeddings: "Tensor | None" = field(repr=False)
