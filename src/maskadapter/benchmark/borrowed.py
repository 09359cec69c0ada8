"""Proposals that real photographs give, for models whose own weights are random."""

import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals

_NOWHERE = -10.0


class Borrowed(nn.Module):
    """A generator that does its own work and then answers with another model's proposals.

    How long the adapter takes, and what can be left out, depends on the masks and on how sure the generator is of them;
    the masks of random weights are noise. generator: of the model that is measured; its time counts.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self._lent: Proposals | None = None

    def lend(self, proposals: Proposals, own: ImageSizes, asked: ImageSizes) -> None:
        """Keep what ``forward`` will answer with: proposals of one image of the frame ``own``, brought to stride 4 of
        the frame ``asked``."""
        stride = own.padded[0] // proposals.mask_logits.shape[-2]
        masks = proposals.mask_logits[..., : own.resized[0] // stride, : own.resized[1] // stride]
        masks = F.interpolate(masks, (asked.resized[0] // 4, asked.resized[1] // 4), mode="area")
        bottom, right = (full // 4 - side for full, side in zip(asked.padded, masks.shape[-2:], strict=True))
        self._lent = Proposals(F.pad(masks, (0, right, 0, bottom), value=_NOWHERE), proposals.class_logits)

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        assert self._lent is not None
        self.generator(images, features, text)
        return self._lent
