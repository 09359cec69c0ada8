"""Losses of a mask generator: class, mask and Dice. Source: Mask2Former, sections 3 and 3.3; FC-CLIP, section 3.2."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.training.batch import MaskTargets, Matches
from maskadapter.training.generator.hungarian_matching import MatchingCosts, match_by_cost
from maskadapter.training.generator.point_sampling import (
    IMPORTANCE,
    NUM_POINTS,
    OVERSAMPLE,
    sample_at_points,
    uncertain_points,
)


@dataclass(frozen=True)
class MaskGeneratorLoss:
    """Class, mask and Dice losses, summed over the decoder's prediction heads; each head has its own assignment.

    classification, mask, dice: weights. void: weight in the class loss of a prediction without a ground-truth mask,
    beside 1 for the others. num_points, oversample, importance: see ``uncertain_points``. costs: of the assignment.
    Source of the numbers: FC-CLIP's configuration, CLASS_WEIGHT, MASK_WEIGHT, DICE_WEIGHT, NO_OBJECT_WEIGHT.
    """

    classification: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    void: float = 0.1
    num_points: int = NUM_POINTS
    oversample: float = OVERSAMPLE
    importance: float = IMPORTANCE
    costs: MatchingCosts = field(default_factory=MatchingCosts)

    def __call__(
        self,
        outputs: Sequence[tuple[Tensor, Tensor]],
        targets: Sequence[MaskTargets],
        rng: torch.Generator,
        num_masks: float | Tensor,
    ) -> dict[str, Tensor]:
        """Weighted losses by name ("class", "mask", "dice").

        outputs: of each head mask logits (B, N, h, w) and class logits (B, N, K + 1). targets: B; an image may have no
        masks. rng: on the CPU, for all points. num_masks: above 0, what the mask losses are divided by.
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
    """Cross-entropy, the mean over all predictions weighted 1 for a matched one and ``void`` for the others.

    class_logits: (B, N, K + 1), void last: the class of a prediction without a ground-truth mask.
    """
    nothing = class_logits.shape[-1] - 1
    labels = torch.full(class_logits.shape[:2], nothing, device=class_logits.device)
    for row, own, (chosen, matched) in zip(labels, targets, matches, strict=True):
        row[chosen] = own.classes[matched].to(row.device)
    weights = class_logits.new_ones(nothing + 1)
    weights[nothing] = void
    return F.cross_entropy(class_logits.flatten(0, 1), labels.flatten(), weights)
