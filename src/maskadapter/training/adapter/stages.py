"""The two stages of training an adapter: ground-truth masks, then true and predicted masks. Source: paper, section 3.3.

A step has two halves. ``prepare`` is what needs no gradient: CLIP, the generator, which masks to train on. ``forward``
is what does: the adapter, its maps' embeddings, the losses. Between them the masks can be counted over all processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training.adapter.iou_matching import Matches, at_most, at_size, mask_iou, match_by_iou
from maskadapter.training.adapter.losses import NO_CLASS, classification_loss, consistency_loss
from maskadapter.training.adapter.mask_slots import drawn, in_slots, labels_in_slots
from maskadapter.training.generator.hungarian_matching import match_by_cost
from maskadapter.training.mask_targets import MaskTargets
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_batch import ImageBatch

Generators = Sequence[torch.Generator]
"""One for each image of a batch, on the CPU; several may be the same."""


@dataclass(frozen=True, eq=False)
class Batch:
    """images: (B, 3, H, W), normalized and padded. targets: B, at the same size, without empty masks.
    vocabulary: what their classes index. raw_images: B arrays (h, w, 3) uint8, before normalization and padding; only
    proposal heads that work on superpixels need them."""

    images: Tensor
    targets: Sequence[MaskTargets]
    vocabulary: EncodedVocabulary
    raw_images: Sequence[np.ndarray] = ()


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the adapter is trained on, free of gradients.

    features: CLIP's. masks: (B, S, 4h, 4w) float, 0 to 1: ground-truth masks, then P predicted masks, then the P ground-truth masks
    that they stand for. labels: (B, S). pairs: (B, P) bool, which pairs count in the consistency loss.
    """

    features: ClipFeatures
    masks: Tensor
    labels: Tensor
    pairs: Tensor
    vocabulary: EncodedVocabulary

    def counts(self) -> Tensor:
        """(2,): masks with a label, pairs that count."""
        return torch.stack([(self.labels != NO_CLASS).sum(), self.pairs.sum()]).float()


@dataclass(frozen=True)
class PredictedMasks:
    """How predicted masks enter the mixed stage.

    matcher: ``"iou"`` keeps fair copies of ground-truth masks, ``"hungarian"`` finds one for every ground-truth mask. iou_threshold: 0
    to 1. matching_threshold: 0 to 1, at which a prediction is made binary to measure its IoU; the mask that is trained
    on is binary at the embedding's own threshold. slots: P.
    soft_edges: predictions and their ground-truth masks are enlarged from stride 4 to the input before they are made small for
        the adapter, as the official training does; at inference they are not.
    left_over: what the slots hold that found no pair. ``"empty"``: two empty masks, which agree and dilute the loss
        (official FC-CLIP). ``"full"``: a mask of everything, drawn towards an empty one (official MAFT+, by accident:
        logits of 0 are above its threshold). ``"ignored"``: they do not count.
    detach_true: the consistency loss moves the predicted mask's embedding alone (official FC-CLIP, not MAFT+).
    """

    matcher: Literal["iou", "hungarian"] = "iou"
    iou_threshold: float = 0.7
    matching_threshold: float = 0.5
    slots: int = 8
    soft_edges: bool = False
    left_over: Literal["empty", "full", "ignored"] = "ignored"
    detach_true: bool = True


class AdapterStage(nn.Module):
    """Warm-up, or with ``predicted`` the mixed stage.

    Args:
        segmenter: whose adapter is trained; the rest of it stays as it is, but for the void embedding where that is
            left trainable.
        true_slots: at most so many masks of the ground truth for each image. Source: official 32 in the warm-up, 16 in the
            mixed stage.
        predicted: None in the warm-up.
        classification, consistency: weights of the losses. Source: paper, section 4.1, 2.0 and 5.0.

    Source of everything: paper, section 3.3; official mask_adapter (warm-up), fcclip and maft (mixed).
    """

    def __init__(
        self,
        segmenter: OpenVocabularySegmenter,
        true_slots: int,
        predicted: PredictedMasks | None = None,
        classification: float = 2.0,
        consistency: float = 5.0,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.true_slots = true_slots
        self.predicted = predicted
        self.weights = {"classification": classification, "consistency": consistency}

    @torch.no_grad()
    def prepare(self, batch: Batch, generators: Generators) -> Prepared:
        features = self.segmenter.clip.encode_image(batch.images)
        height, width = features.projected.shape[-2:]
        cells = (4 * height, 4 * width)  # what the adapter makes of any mask
        true = [drawn(targets, self.true_slots, g) for targets, g in zip(batch.targets, generators, strict=True)]
        # No more slots than the fullest image needs: empty ones cost as much as others and count for nothing.
        slots = max([1, *map(len, true)])
        masks = [in_slots([at_size(targets.masks, cells) for targets in true], slots)]
        labels = [labels_in_slots([targets.classes for targets in true], slots)]
        pairs = torch.zeros(len(true), 0, dtype=torch.bool, device=batch.images.device)
        if self.predicted is not None:
            predicted, stood_for, classes, pairs = self._pairs(self.predicted, batch, features, cells, generators)
            masks += [predicted, stood_for]
            labels += [classes, classes]
        kept = ClipFeatures({}, features.dense, features.projected)
        return Prepared(kept, torch.cat(masks, dim=1), torch.cat(labels, dim=1), pairs, batch.vocabulary)

    def forward(self, prepared: Prepared, counts: Tensor) -> dict[str, Tensor]:
        segmenter, features = self.segmenter, prepared.features
        embeddings = self._embedding.embed(features, prepared.masks, segmenter.clip.project)
        text = segmenter.transferred(segmenter.text_classifier(prepared.vocabulary), features)
        logits = text.logits(embeddings, segmenter.clip.logit_scale)
        sums = {"classification": classification_loss(logits, prepared.labels)}
        if self.predicted is not None:
            pairs = prepared.pairs.shape[1]
            predicted, true = embeddings[:, -2 * pairs :].split(pairs, dim=1)
            true = true.detach() if self.predicted.detach_true else true
            sums["consistency"] = consistency_loss(predicted, true, prepared.pairs)
        # A batch may hold no mask at all. A mean over processes may well lie between 0 and 1.
        counted = dict(zip(self.weights, torch.where(counts > 0, counts, 1), strict=True))
        return {name: self.weights[name] * total / counted[name] for name, total in sums.items()}

    @property
    def _embedding(self) -> AdapterPooler:
        assert isinstance(self.segmenter.pooler, AdapterPooler)
        return self.segmenter.pooler

    def _pairs(
        self,
        settings: PredictedMasks,
        batch: Batch,
        features: ClipFeatures,
        cells: tuple[int, int],
        generators: Generators,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, P, 4h, 4w) predicted and ground-truth masks, (B, P) their classes, (B, P) which count."""
        assert self.segmenter.generator is not None
        proposals = self.segmenter.generator(ImageBatch(batch.images, batch.raw_images), features)
        text = self.segmenter.text_classifier(batch.vocabulary)
        class_logits = self.segmenter.class_logits(proposals, text)
        size = (batch.images.shape[-2], batch.images.shape[-1])
        predicted, true, classes = [], [], []
        for index, (targets, generator) in enumerate(zip(batch.targets, generators, strict=True)):
            logits = proposals.mask_logits[index]
            classified = None if class_logits is None else class_logits[index]
            small = at_size(targets.masks, (logits.shape[-2], logits.shape[-1]))
            chosen, stood_for = at_most(
                self._match(settings, logits, classified, small, targets, generator), settings.slots, generator
            )
            binary = (logits[chosen].sigmoid() > self._embedding.mask_threshold).float()
            if settings.soft_edges:
                binary, copies = at_size(binary, size), at_size(small[stood_for], size)
            else:
                copies = targets.masks[stood_for].float()
            predicted.append(at_size(binary, cells))
            true.append(at_size(copies, cells))
            classes.append(targets.classes[stood_for])
        labels = labels_in_slots(classes, settings.slots)
        counted = labels != NO_CLASS
        if settings.left_over != "ignored":
            counted = torch.ones_like(counted)
        fill = 1.0 if settings.left_over == "full" else 0.0
        return in_slots(predicted, settings.slots, fill), in_slots(true, settings.slots), labels, counted

    @staticmethod
    def _match(
        settings: PredictedMasks,
        logits: Tensor,
        class_logits: Tensor | None,
        small: Tensor,
        targets: MaskTargets,
        generator: torch.Generator,
    ) -> Matches:
        if settings.matcher == "iou":
            iou = mask_iou(logits.sigmoid() >= settings.matching_threshold, small > 0.5)
            return match_by_iou(iou, settings.iou_threshold, generator)
        return match_by_cost(logits, class_logits, targets, generator)
