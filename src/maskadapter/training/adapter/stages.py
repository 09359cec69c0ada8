"""The two stages of training an adapter: ground-truth masks, then predicted masks too. Source: paper, section 3.3.

A step has two halves. ``prepare`` needs no gradient: CLIP, the mask generator, which masks to train on. ``forward``
does: the adapter, its mask embeddings, the losses. Between them the masks can be counted over all processes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler
from maskadapter.training.adapter.iou_matching import resize_masks
from maskadapter.training.adapter.losses import NO_CLASS, classification_loss, consistency_loss
from maskadapter.training.adapter.mask_slots import labels_in_slots, masks_in_slots, sample_targets
from maskadapter.training.adapter.predicted_masks import PredictedMasks, pair_masks
from maskadapter.training.batch import Batch, Rngs
from maskadapter.training.upstream_quirks import RECOMMENDED, TrainingQuirks
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
    """One stage of an adapter's training: the warm-up, or with ``predicted`` the mixed stage.

    ground_truth_slots: at most so many ground-truth masks of each image. quirks: accidents of the official training to
    repeat. classification, consistency: weights of the losses. Source: paper, sections 3.3 and 4.1; official
    mask_adapter (warm-up, 32 slots), fcclip and maft (mixed, 16 slots).
    """

    def __init__(
        self,
        segmenter: OpenVocabularySegmenter,
        ground_truth_slots: int,
        predicted: PredictedMasks | None = None,
        quirks: TrainingQuirks = RECOMMENDED,
        classification: float = 2.0,
        consistency: float = 5.0,
    ) -> None:
        super().__init__()
        self.segmenter, self.quirks = segmenter, quirks
        self.ground_truth_slots, self.predicted = ground_truth_slots, predicted
        self.weights = {"classification": classification, "consistency": consistency}

    @torch.no_grad()
    def prepare(self, batch: Batch, rngs: Rngs) -> Prepared:
        """CLIP's features of a batch, and the masks to train on."""
        features = self.segmenter.clip.encode_image(batch.images)
        height, width = features.projected.shape[-2:]
        size = (4 * height, 4 * width)  # the adapter resizes any mask to it
        most = self.ground_truth_slots
        targets = [sample_targets(own, most, rng) for own, rng in zip(batch.targets, rngs, strict=True)]
        # No more slots than the fullest image needs: empty ones cost as much as others and count for nothing.
        slots = max([1, *map(len, targets)])
        masks = [masks_in_slots([resize_masks(own.masks, size) for own in targets], slots)]
        labels = [labels_in_slots([own.classes for own in targets], slots)]
        counted = torch.zeros(len(targets), 0, dtype=torch.bool, device=batch.images.device)
        if self.predicted is not None:
            assert self.segmenter.generator is not None
            proposals = self.segmenter.generator(ImageBatch(batch.images, batch.raw_images), features)
            logits = self.segmenter.class_logits(proposals, self.segmenter.text_classifier(batch.vocabulary))
            threshold = self._pooler.mask_threshold
            pairs = pair_masks(proposals.mask_logits, logits, batch, self.predicted, self.quirks, threshold, size, rngs)
            masks += [pairs.predicted, pairs.ground_truth]
            labels += [pairs.labels, pairs.labels]
            counted = pairs.counted
        kept = ClipFeatures({}, features.dense, features.projected)
        return Prepared(kept, torch.cat(masks, dim=1), torch.cat(labels, dim=1), counted, batch.vocabulary)

    def forward(self, prepared: Prepared, counts: Tensor) -> dict[str, Tensor]:
        """Weighted losses by name. counts: (2,), what they are divided by, see ``Prepared.counts``."""
        segmenter, features = self.segmenter, prepared.features
        embeddings = self._pooler.embed(features, prepared.masks, segmenter.clip.project)
        text = segmenter.transferred(segmenter.text_classifier(prepared.vocabulary), features)
        logits = text.logits(embeddings, segmenter.clip.logit_scale)
        sums = {"classification": classification_loss(logits, prepared.labels)}
        if self.predicted is not None:
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
