"""Training a mask generator on CLIP's frozen features. Source: Mask2Former, section 3; FC-CLIP, section 3.2."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskadapter.errors import RecipeError
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.models.proposals.mask2former import Mask2FormerHead
from maskadapter.training.batch import Batch, Rngs
from maskadapter.training.generator.losses import MaskGeneratorLoss
from maskadapter.types import ClipFeatures


@dataclass(frozen=True, eq=False)
class PreparedForGenerator:
    """The input of a mask generator's training step, free of gradients. rng: for the sampled points."""

    batch: Batch
    features: ClipFeatures
    rng: torch.Generator

    def counts(self) -> Tensor:
        """(1,): ground-truth masks."""
        masks = sum(map(len, self.batch.targets))
        return torch.tensor([masks], dtype=torch.float32, device=self.batch.images.device)


class MaskGeneratorStage(nn.Module):
    """Training of a Mask2Former mask generator, for small models and one's own data; not a stage of the paper."""

    def __init__(self, segmenter: OpenVocabularySegmenter) -> None:
        super().__init__()
        if not isinstance(segmenter.generator, Mask2FormerHead):
            raise RecipeError(
                "stage generator trains a Mask2Former mask generator, which this model lacks: use tiny-mask2former, or "
                "one of the published models"
            )
        self.segmenter, self.loss = segmenter, MaskGeneratorLoss()

    @torch.no_grad()
    def prepare(self, batch: Batch, rngs: Rngs) -> PreparedForGenerator:
        """CLIP's features of a batch."""
        return PreparedForGenerator(batch, self.segmenter.clip.encode_image(batch.images), rngs[0])

    def forward(self, prepared: PreparedForGenerator, counts: Tensor) -> dict[str, Tensor]:
        """Weighted losses by name. counts: (1,), what the mask losses are divided by."""
        head = self.segmenter.generator
        assert isinstance(head, Mask2FormerHead)
        text = self.segmenter.text_classifier(prepared.batch.vocabulary)
        outputs = [(one.mask_logits, head.class_logits(one, text)) for one in head.every_head(prepared.features)]
        return self.loss(outputs, prepared.batch.targets, prepared.rng, counts[0].clamp(min=1))
