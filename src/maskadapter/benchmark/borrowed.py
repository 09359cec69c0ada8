"""Proposals that real photographs give, for models whose own weights are random."""

import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_batch import ImageBatch
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

    def lend(self, proposals: Proposals, class_logits: Tensor, own: ImageSizes, asked: ImageSizes) -> None:
        """Keep what ``forward`` and ``class_logits`` will answer with: proposals of one image of the sizes ``own``,
        brought to stride 4 of the sizes ``asked``, and their class logits."""
        stride = own.padded[0] // proposals.mask_logits.shape[-2]
        masks = proposals.mask_logits[..., : own.resized[0] // stride, : own.resized[1] // stride]
        masks = F.interpolate(masks, (asked.resized[0] // 4, asked.resized[1] // 4), mode="area")
        bottom, right = (full // 4 - side for full, side in zip(asked.padded, masks.shape[-2:], strict=True))
        self._lent = Proposals(F.pad(masks, (0, right, 0, bottom), value=_NOWHERE), class_logits)

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        assert self._lent is not None
        self._own = self.generator(inputs, features)
        return self._lent

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """What was lent stands in the place of class embeddings."""
        assert proposals.class_embeddings is not None
        self.generator.class_logits(self._own, text)  # type: ignore[operator]
        return proposals.class_embeddings
