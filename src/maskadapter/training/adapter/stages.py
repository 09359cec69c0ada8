"""The two stages of training an adapter: ground-truth masks, then predicted masks too. Source: paper, section 3.3.

``prepare`` needs no gradient, ``forward`` does; between them the masks can be counted over all processes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler
from maskadapter.training.adapter.iou_matching import NO_CLASS, in_slots, pair_masks, resize_masks, sample_targets
from maskadapter.training.batch import Batch, Rngs
from maskadapter.training.recipe import LOSS, RECOMMENDED, Loss, Masks, TrainingQuirks
from maskadapter.types import ClipFeatures, ImageBatch


@dataclass(frozen=True, eq=False)
class Prepared:
    """The input of an adapter's training step, free of gradients.

    masks: (B, S, 4h, 4w) float, 0 to 1: the ground-truth masks, then P predicted masks, then the P ground-truth masks
    that they are matched with. labels: (B, S). pairs: (B, P) bool, which pairs count in the consistency loss.
    """

    features: ClipFeatures
    masks: Tensor
    labels: Tensor
    pairs: Tensor
    vocabulary: EncodedVocabulary

    def counts(self) -> Tensor:
        """(2,): masks with a label, pairs that count."""
        return torch.stack([(self.labels != NO_CLASS).sum(), self.pairs.sum()]).float()


class AdapterStage(nn.Module):
    """One stage of an adapter's training: the warm-up, or with ``masks.predicted`` above 0 the mixed stage.

    Source: paper, sections 3.3 and 4.1; official mask_adapter (warm-up), fcclip and maft (mixed).
    """

    def __init__(
        self, segmenter: OpenVocabularySegmenter, masks: Masks, quirks: TrainingQuirks = RECOMMENDED, loss: Loss = LOSS
    ) -> None:
        super().__init__()
        self.segmenter, self.masks, self.quirks = segmenter, masks, quirks
        self.weights = {"classification": loss.classification, "consistency": loss.consistency}

    @torch.no_grad()
    def prepare(self, batch: Batch, rngs: Rngs) -> Prepared:
        features, most = self.segmenter.clip.encode_image(batch.images), self.masks.ground_truth
        height, width = features.projected.shape[-2:]
        size = (4 * height, 4 * width)  # the adapter resizes any mask to it
        targets = [sample_targets(own, most, rng) for own, rng in zip(batch.targets, rngs, strict=True)]
        # No more slots than the fullest image needs: empty ones cost as much as others and count for nothing.
        slots = max([1, *map(len, targets)])
        masks = [in_slots([resize_masks(own.masks, size) for own in targets], slots, 0.0)]
        labels = [in_slots([own.classes for own in targets], slots, NO_CLASS)]
        counted = torch.zeros(len(targets), 0, dtype=torch.bool, device=batch.images.device)
        if self.masks.predicted:
            assert self.segmenter.generator is not None
            proposals = self.segmenter.generator(ImageBatch(batch.images, batch.raw_images), features)
            logits = self.segmenter.class_logits(proposals, self.segmenter.text_classifier(batch.vocabulary))
            predicted, matched, classes, counted = pair_masks(
                proposals.mask_logits, logits, batch, self.masks, self.quirks, self._pooler.mask_threshold, size, rngs
            )
            masks, labels = [*masks, predicted, matched], [*labels, classes, classes]
        kept = ClipFeatures({}, features.dense, features.projected)
        return Prepared(kept, torch.cat(masks, dim=1), torch.cat(labels, dim=1), counted, batch.vocabulary)

    def forward(self, prepared: Prepared, counts: Tensor) -> dict[str, Tensor]:
        """Weighted losses by name. counts: (2,), what they are divided by, see ``Prepared.counts``."""
        segmenter, features = self.segmenter, prepared.features
        embeddings = self._pooler.embed(features, prepared.masks, segmenter.clip.project)
        text = segmenter.transferred(segmenter.text_classifier(prepared.vocabulary), features)
        logits = text.logits(embeddings, segmenter.clip.logit_scale)
        sums = {"classification": classification_loss(logits, prepared.labels)}
        if self.masks.predicted:
            pairs = prepared.pairs.shape[1]
            predicted, ground_truth = embeddings[:, -2 * pairs :].split(pairs, dim=1)
            ground_truth = ground_truth.detach() if self.quirks.detach_ground_truth else ground_truth
            sums["consistency"] = consistency_loss(predicted, ground_truth, prepared.pairs)
        # A batch may hold no mask at all. A mean over processes may well lie between 0 and 1.
        divisors = dict(zip(self.weights, torch.where(counts > 0, counts, 1), strict=True))
        return {name: self.weights[name] * total / divisors[name] for name, total in sums.items()}

    @property
    def _pooler(self) -> AdapterPooler:
        assert isinstance(self.segmenter.pooler, AdapterPooler)
        return self.segmenter.pooler


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, summed over the slots that hold a mask.

    logits: (B, N, K + 1), void last: it competes and is never right. labels: (B, N), 0 to K - 1 or NO_CLASS. Source:
    paper, equation 7; official loss_ce.
    """
    return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=NO_CLASS, reduction="sum")


def consistency_loss(predicted: Tensor, ground_truth: Tensor, counted: Tensor) -> Tensor:
    """1 - cosine of the embeddings (B, P, D) of predicted and ground-truth masks, summed over the pairs that count.

    counted: (B, P) bool. Returns a scalar, 0 to 2 for each pair. Source: paper, equation 6; official loss_cosine.
    """
    distance = 1 - F.cosine_similarity(predicted.float(), ground_truth.float(), dim=-1)
    return torch.where(counted, distance, 0 * distance).sum()
