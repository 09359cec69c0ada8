"""Segment one image stage by stage, each stage timed and computed in a chosen way."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.models import ComputedProposals, EncodedVocabulary, OpenVocabularySegmenter, pruned_embeddings
from maskadapter.models.poolers import AdapterPooler
from maskadapter.results import Upsampler, semantic_map, semantic_scores
from maskadapter.types import ImageBatch, ImageSizes, Proposals

Computation = Literal["reference", "exact", "pruned"]
"""How the adapter and the label map are computed.

reference: every mask at every feature location; the label map from the scores of all classes. exact: the same numbers
    but for rounding, by ``SparseAdapter``; the label map by ``class_argmax``. pruned: exact for the proposals that can
    change the result, estimated for the others. Image encoder and mask generator are the same in all three."""

STAGES = ("image encoder", "mask generator", "adapter", "semantic map")
"""The adapter's stage runs from masks to class logits: its maps, pooling with them, and classifying what is pooled."""

PreparedImage = tuple[ImageBatch, ImageSizes]
"""One image as a model takes it, and its sizes: what ``OpenVocabularySegmenter.prepare`` returns."""


@dataclass(frozen=True)
class StageResults:
    """What one image gave."""

    labels: np.ndarray  # (H, W) int32
    proposals: Proposals
    class_logits: Tensor  # (1, N, K + 1), of the in-vocabulary classifier
    embeddings: Tensor  # (1, N, D), of the masks
    logits: Tensor  # (1, N, K + 1), of the out-of-vocabulary classifier
    probs: Tensor  # (1, N, K + 1), of both
    computed: ComputedProposals


@torch.inference_mode()
def run_stages(
    segmenter: OpenVocabularySegmenter,
    image: PreparedImage,
    encoded: EncodedVocabulary,
    computation: Computation,
    clock: Clock,
    computed: ComputedProposals | None = None,
    at_most: int | None = None,
) -> StageResults:
    """Compute the class of every pixel as ``OpenVocabularySegmenter.segment`` does, and time each stage.

    computed: the proposals that the pruned computation does not estimate, in place of the model's own choice, whose
        time counts all the same. at_most: use only the first so many proposals.
    """
    (batch, sizes), pooler = image, segmenter.pooler
    assert isinstance(pooler, AdapterPooler)
    assert segmenter.generator is not None
    text, project = segmenter.text_classifier(encoded), segmenter.clip.project
    with clock.part("image encoder"):
        features = segmenter.clip.encode_image(batch.pixels)
    with clock.part("mask generator"):
        proposals = segmenter.generator(batch, features)
        class_logits = segmenter.generator.class_logits(proposals, text)[:, :at_most]
    mask_logits = proposals.mask_logits[:, :at_most]
    every = torch.ones(mask_logits.shape[:2], dtype=torch.bool)
    chosen = ComputedProposals(~every, every)

    def probs_of(embeddings: Tensor) -> Tensor:
        logits = segmenter.out_of_vocabulary_logits(features, embeddings, text)
        return segmenter.combine(class_logits, logits, encoded.vocabulary)

    with clock.part("adapter"):
        if computation == "pruned":
            embeddings, chosen = pruned_embeddings(pooler, features, mask_logits, project, probs_of, computed)
        else:
            whole = ReferencePooler(pooler) if computation == "reference" else pooler
            embeddings = whole(batch.pixels, features, mask_logits, project)
        logits = segmenter.out_of_vocabulary_logits(features, embeddings, text)
    probs = segmenter.combine(class_logits, logits, encoded.vocabulary)
    with clock.part("semantic map"):
        masks, order = Upsampler(mask_logits[0], sizes), segmenter.semantic_order
        if computation == "reference":
            tiles = semantic_scores(masks, probs[0], order)
            labels = np.concatenate([scores.argmax(dim=0).cpu().numpy() for _, scores in tiles])
        else:
            labels = semantic_map(masks, probs[0], order)
    return StageResults(labels, proposals, class_logits, embeddings, logits, probs, chosen)
