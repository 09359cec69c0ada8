"""Proposals that real photographs give, for models whose own weights are random."""

import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter import hub
from maskadapter.models.classifier import TextClassifier
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.models.superpixels import SuperpixelGenerator
from maskadapter.structures import ClipFeatures, Proposals


class Borrowed(nn.Module):
    """A generator that does its own work and then answers with the embedded model's proposals.

    How long the adapter takes, and what can be left out, depends on the masks and on how sure the generator is of them;
    the masks of random weights are noise. Class logits are the embedded model's too.

    Args:
        generator: of the model that is measured; its time counts. count: proposals.
    """

    def __init__(self, generator: nn.Module, count: int) -> None:
        super().__init__()
        self.generator = generator
        self.lender = hub.load()
        assert isinstance(self.lender.generator, SuperpixelGenerator)
        self.lender.generator.num_proposals = count
        self.count = 0  # proposals that the last picture gave
        self._lent: Proposals | None = None

    def prepare(self, images: Tensor, encoded: EncodedVocabulary) -> None:
        """Find the proposals that ``forward`` will answer with, at stride 4 of (1, 3, H, W)."""
        lender: OpenVocabularySegmenter = self.lender
        text = lender.text_classifier(lender.encode(encoded.vocabulary))
        proposals = lender.generator(images, lender.clip.encode_image(images), text)  # type: ignore[misc]
        self.count = proposals.mask_logits.shape[1]
        self._lent = Proposals(F.avg_pool2d(proposals.mask_logits, 2), proposals.class_logits)

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        assert self._lent is not None
        self.generator(images, features, text)
        return self._lent
