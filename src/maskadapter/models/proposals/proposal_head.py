"""What the segmenter needs of a proposal head."""

from typing import Protocol

from torch import Tensor

from maskadapter.models.classifier import TextClassifier
from maskadapter.types import ClipFeatures, ImageBatch, Proposals


class ProposalHead(Protocol):
    """A part of the model that proposes masks from CLIP's features, then classifies them by any text. fixed_number:
    whether it proposes as many masks in every image."""

    fixed_number: bool

    def __call__(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        """Propose masks; no text has a part in it."""

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """Class logits (B, N, K + 1) of proposals with class embeddings, void last."""

    @property
    def logit_scale(self) -> Tensor:
        """The logarithm of the scale of a cosine in the class logits."""
