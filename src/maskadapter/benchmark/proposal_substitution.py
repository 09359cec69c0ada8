"""Replace the proposals of a model with random weights by those that another model found in the same photo."""

import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals

_OUTSIDE = -10.0  # mask logit of the padding


class SubstitutedProposals(nn.Module):
    """Run a mask generator, discard its proposals, and return given ones.

    How long the adapter takes, and which proposals can be pruned, depends on the masks and on how surely they are
    classified; the masks of random weights are noise. generator: that of the model that is timed; its time counts.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self._proposals: Proposals | None = None

    def substitute(self, proposals: Proposals, found_at: ImageSizes, needed_at: ImageSizes) -> None:
        """Set what ``forward`` returns: the proposals of one image, resampled to stride 4 of the timed model's input.

        found_at, needed_at: the sizes of that image in the model that found them and in the one that is timed.
        """
        stride = found_at.padded[0] // proposals.mask_logits.shape[-2]
        masks = proposals.mask_logits[..., : found_at.resized[0] // stride, : found_at.resized[1] // stride]
        masks = F.interpolate(masks, (needed_at.resized[0] // 4, needed_at.resized[1] // 4), mode="area")
        bottom, right = (full // 4 - side for full, side in zip(needed_at.padded, masks.shape[-2:], strict=True))
        self._proposals = Proposals(F.pad(masks, (0, right, 0, bottom), value=_OUTSIDE), proposals.class_logits)

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        assert self._proposals is not None
        self.generator(images, features, text)
        return self._proposals
