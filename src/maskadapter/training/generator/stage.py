"""Training a mask generator on CLIP's frozen features. Source: Mask2Former, sections 3, 3.3; FC-CLIP, section 3.2."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import RecipeError
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.models.proposals.mask2former import Mask2FormerHead
from maskadapter.training.batch import Batch, MaskTargets, Matches, Rngs
from maskadapter.training.generator.hungarian_matching import (
    NUM_POINTS,
    MatchingCosts,
    match_by_cost,
    sample_at_points,
    uncertain_points,
)
from maskadapter.types import ClipFeatures


@dataclass(frozen=True, eq=False)
class PreparedForGenerator:
    """The input of a mask generator's training step, free of gradients. rng: for the sampled points."""

    batch: Batch
    features: ClipFeatures
    rng: torch.Generator

    def counts(self) -> Tensor:
        """(1,): ground-truth masks."""
        return self.batch.images.new_tensor([sum(map(len, self.batch.targets))], dtype=torch.float32)


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
        return PreparedForGenerator(batch, self.segmenter.clip.encode_image(batch.images), rngs[0])

    def forward(self, prepared: PreparedForGenerator, counts: Tensor) -> dict[str, Tensor]:
        """Weighted losses by name. counts: (1,), what the mask losses are divided by."""
        head = self.segmenter.generator
        assert isinstance(head, Mask2FormerHead)
        text = self.segmenter.text_classifier(prepared.batch.vocabulary)
        outputs = [(one.mask_logits, head.class_logits(one, text)) for one in head.every_head(prepared.features)]
        return self.loss(outputs, prepared.batch.targets, prepared.rng, counts[0].clamp(min=1))


@dataclass(frozen=True)
class MaskGeneratorLoss:
    """Class, mask and Dice losses, summed over the decoder's prediction heads; each head has its own assignment.

    void: weight in the class loss of a prediction without a ground-truth mask, beside 1 for the others. num_points,
    oversample, importance: see ``uncertain_points``. costs: of the assignment.
    Source: FC-CLIP's configuration, CLASS_, MASK_, DICE_, NO_OBJECT_WEIGHT, OVERSAMPLE_RATIO, IMPORTANCE_SAMPLE_RATIO.
    """

    classification: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    void: float = 0.1
    num_points: int = NUM_POINTS
    oversample: float = 3.0
    importance: float = 0.75
    costs: MatchingCosts = field(default_factory=MatchingCosts)

    def __call__(
        self,
        outputs: Sequence[tuple[Tensor, Tensor]],
        targets: Sequence[MaskTargets],
        rng: torch.Generator,
        num_masks: float | Tensor,
    ) -> dict[str, Tensor]:
        """Weighted losses by name ("class", "mask", "dice").

        outputs: of each head mask logits (B, N, h, w) and class logits (B, N, K + 1). targets: B. rng: on the CPU.
        num_masks: above 0, what the mask losses are divided by.
        """
        total: dict[str, Tensor] = {}
        for mask_logits, class_logits in outputs:
            masks, classes = mask_logits.float(), class_logits.float()
            matches = [match_by_cost(*each, rng, self.costs) for each in zip(masks, classes, targets, strict=True)]
            predicted = torch.cat([logits[chosen] for logits, (chosen, _) in zip(masks, matches, strict=True)])
            points = uncertain_points(predicted, self.num_points, rng, self.oversample, self.importance)
            parts = points.split([len(chosen) for chosen, _ in matches])
            matched = [own.masks[chosen] for own, (_, chosen) in zip(targets, matches, strict=True)]
            wanted = torch.cat([sample_at_points(m.to(p), p) for m, p in zip(matched, parts, strict=True)])
            logits = sample_at_points(predicted, points)
            probs = logits.sigmoid()
            # Means over the points, sums over the masks; Dice as in ``matching_cost``.
            entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=1).sum()
            overlap = (2 * (probs * wanted).sum(dim=1) + 1) / (probs.sum(dim=1) + wanted.sum(dim=1) + 1)
            losses = {
                "class": self.classification * class_loss(classes, targets, matches, self.void),
                "mask": self.mask * entropy / num_masks,
                "dice": self.dice * (1 - overlap).sum() / num_masks,
            }
            total = {name: total[name] + loss if total else loss for name, loss in losses.items()}
        return total


def class_loss(class_logits: Tensor, targets: Sequence[MaskTargets], matches: Sequence[Matches], void: float) -> Tensor:
    """Cross-entropy of (B, N, K + 1), void last: the mean, weighted 1 for a matched prediction, ``void`` for others."""
    nothing = class_logits.shape[-1] - 1
    labels = torch.full(class_logits.shape[:2], nothing, device=class_logits.device)
    for row, own, (chosen, matched) in zip(labels, targets, matches, strict=True):
        row[chosen] = own.classes[matched].to(row.device)
    weights = class_logits.new_ones(nothing + 1)
    weights[nothing] = void
    return F.cross_entropy(class_logits.flatten(0, 1), labels.flatten(), weights)
