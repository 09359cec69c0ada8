"""Images as the networks take them, and what the networks compute of them before they see any text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from maskadapter.errors import MaskError
from maskadapter.types.compact_mask import CompactMask, Size

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

INSIDE = 10.0
"""Mask logit of a location inside a mask that is known exactly; outside it is the negative."""


@dataclass(frozen=True)
class ImageSizes:
    """Sizes of one image, each (height, width) in pixels. padded: the networks' input. resized: the part of it that
    holds the image, top left. original: the image itself, the size of every result."""

    padded: Size
    resized: Size
    original: Size


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """A batch of images at the size of the networks' input. pixels: (B, 3, H, W), normalized with CLIP's mean and
    standard deviation, padded right and below with zeros. images: B arrays (h_i, w_i, 3) uint8 RGB, the same images
    before normalization and padding."""

    pixels: "Tensor"
    images: "Sequence[np.ndarray]"


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

    def of_image(self, number: int) -> "ClipFeatures":
        """Those of one image of the batch, as a batch of one, without the pyramid and without the others' memory."""
        dense, projected = (part[number : number + 1].clone() for part in (self.dense, self.projected))
        return ClipFeatures({}, dense, projected)


@dataclass(frozen=True)
class Proposals:
    """N candidate masks for each image of a batch, and what a proposal head needs to classify them by any text.

    mask_logits: (B, N, h, w); a pixel belongs to the mask where the logit is positive.
    class_embeddings: (B, N, D), compared with text embeddings by the head that made them; None from a mask source.
    objectness: (B, N), logits that a mask is one thing; only from heads whose void does not depend on the text.
    binary: whether every mask logit is ``INSIDE`` or its negative.
    Raises MaskError when the shapes do not fit together."""

    mask_logits: "Tensor"
    class_embeddings: "Tensor | None" = None
    objectness: "Tensor | None" = None
    binary: bool = False

    def __post_init__(self) -> None:
        shape = tuple(self.mask_logits.shape)
        if len(shape) != 4:
            raise MaskError(f"mask_logits has shape {shape}; (B, N, h, w) is needed")
        if self.class_embeddings is not None and self.class_embeddings.shape[:2] != shape[:2]:
            given = tuple(self.class_embeddings.shape)
            raise MaskError(f"class_embeddings has shape {given}; (B, N, D) with (B, N) = {shape[:2]} is needed")

    def of_image(self, number: int) -> "Proposals":
        """Those of one image of the batch, as a batch of one, without the others' memory."""
        one = slice(number, number + 1)
        others = (self.class_embeddings, self.objectness)
        class_embeddings, objectness = (None if part is None else part[one].clone() for part in others)
        return Proposals(self.mask_logits[one].clone(), class_embeddings, objectness, self.binary)

    def in_bytes(self) -> "Proposals":
        """The same with mask logits in int8, a quarter of the memory, where they are binary."""
        return replace(self, mask_logits=self.mask_logits.char()) if self.binary else self


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """One image after its pass through the networks: plain data that can be pickled, cached or sent to a worker.

    It holds no model, and belongs to the model that made it.
    image: (H, W, 3) uint8 RGB, upright. file_name: of the image's file, None where it came from memory.
    sizes: see ``ImageSizes``. features: CLIP's, without the pyramid.
    proposals: of one image (B = 1), independent of any text; None from a model without a proposal head. Their mask
        logits may be int8.
    mask_embeddings: (1, N, D) CLIP embeddings of the proposals; None where they are computed for each list of classes,
        because the model prunes proposals.
    given_masks: the masks that the proposals were made of, at the image's size, where they were given to the model.
    given_by_user: whether a user gave them, rather than a source that makes masks."""

    image: "np.ndarray" = field(repr=False)
    file_name: str | None
    sizes: ImageSizes
    features: ClipFeatures = field(repr=False)
    proposals: Proposals | None = field(repr=False)
    mask_embeddings: "Tensor | None" = field(repr=False)
    given_masks: tuple[CompactMask, ...] | None = field(default=None, repr=False)
    given_by_user: bool = False
