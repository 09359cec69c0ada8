"""Replace the proposals of a model with random weights by those that another model found in the same photo."""

import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models import TextClassifier
from maskadapter.types import ClipFeatures, ImageBatch, ImageSizes, Proposals

_OUTSIDE = -10.0  # mask logit of the padding


class SubstitutedProposals(nn.Module):
    """Run a proposal head, discard what it proposes, and return given proposals.

    How long the adapter takes, and which proposals can be pruned, depends on the masks and on how surely they are
    classified; the masks of random weights are noise. generator: the head of the model that is timed; its time counts.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self._proposals: Proposals | None = None

    def substitute(
        self, proposals: Proposals, class_logits: Tensor, found_at: ImageSizes, needed_at: ImageSizes
    ) -> None:
        """Set the proposals of one image and their class logits (1, N, K + 1).

        found_at, needed_at: the sizes of that image in the model that found them and in the one that is timed. The
        masks are resampled to stride 4 of the timed model's input.
        """
        stride = found_at.padded[0] // proposals.mask_logits.shape[-2]
        masks = proposals.mask_logits[..., : found_at.resized[0] // stride, : found_at.resized[1] // stride]
        masks = F.interpolate(masks, (needed_at.resized[0] // 4, needed_at.resized[1] // 4), mode="area")
        bottom, right = (full // 4 - side for full, side in zip(needed_at.padded, masks.shape[-2:], strict=True))
        # The class logits stand in the place of class embeddings, from which a head computes them.
        self._proposals = Proposals(F.pad(masks, (0, right, 0, bottom), value=_OUTSIDE), class_logits)

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        """Run the head and return the given proposals."""
        assert self._proposals is not None
        self._own = self.generator(inputs, features)
        return self._proposals

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """Classify the head's own proposals and return the given class logits; zeros for a list of other length."""
        given = proposals.class_embeddings
        assert given is not None
        own: Tensor = self.generator.class_logits(self._own, text)  # type: ignore[operator]
        return given if given.shape[-1] == own.shape[-1] else given.new_zeros(*given.shape[:2], own.shape[-1])
