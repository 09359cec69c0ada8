"""Training the mask generator on CLIP's frozen features. Source: Mask2Former, section 3; FC-CLIP, section 3.2."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskadapter.errors import RecipeError
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training.adapter.stages import Batch, Generators
from maskadapter.training.generator.losses import GeneratorLoss
from maskadapter.training.mask_targets import MaskTargets
from maskadapter.types.clip_features import ClipFeatures


@dataclass(frozen=True, eq=False)
class PreparedForGenerator:
    """CLIP's features of a batch, free of gradients, and what is to be found in it. random: for the sampled points."""

    images: Tensor
    features: ClipFeatures
    targets: Sequence[MaskTargets]
    vocabulary: EncodedVocabulary
    random: torch.Generator

    def counts(self) -> Tensor:
        """(1,): ground-truth masks."""
        return torch.tensor([sum(map(len, self.targets))], dtype=torch.float32, device=self.images.device)


class GeneratorStage(nn.Module):
    """The third kind of training: masks and their classes from the generator, for small models and one's own data.

    Raises RecipeError for a model whose generator does not learn (superpixels).
    """

    def __init__(self, segmenter: OpenVocabularySegmenter, loss: GeneratorLoss | None = None) -> None:
        super().__init__()
        if not isinstance(segmenter.generator, Mask2FormerHead):
            raise RecipeError(
                "stage generator trains a Mask2Former generator, which this model lacks: use tiny-mask2former, or one "
                "of the published models"
            )
        self.segmenter = segmenter
        self.loss = loss or GeneratorLoss()

    @torch.no_grad()
    def prepare(self, batch: Batch, generators: Generators) -> PreparedForGenerator:
        features = self.segmenter.clip.encode_image(batch.images)
        return PreparedForGenerator(batch.images, features, batch.targets, batch.vocabulary, generators[0])

    def forward(self, prepared: PreparedForGenerator, counts: Tensor) -> dict[str, Tensor]:
        generator = self.segmenter.generator
        assert isinstance(generator, Mask2FormerHead)
        text = self.segmenter.text_classifier(prepared.vocabulary)
        heads = [
            (head.mask_logits, generator.class_logits(head, text)) for head in generator.every_head(prepared.features)
        ]
        return self.loss(heads, prepared.targets, prepared.random, counts[0].clamp(min=1))
