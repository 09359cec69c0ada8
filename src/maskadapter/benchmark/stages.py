"""Segment one image stage by stage, each stage timed and computed in a chosen way."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.poolers.pooler import AdapterPooler
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.results.postprocessing import semantic_map, semantic_scores
from maskadapter.results.upsampling import Upsampler
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals

Computation = Literal["reference", "exact", "pruned"]
"""How the adapter and the label map are computed.

reference: the adapter as the paper writes it, every mask at every feature location; the label map from the scores of
    all classes. exact: the same numbers but for rounding, by ``SparseAdapter``; the label map by ``class_argmax``.
pruned: exact for the proposals that can change the result, estimated for the others. Image encoder and mask generator
are the same in all three."""

STAGES = ("image encoder", "mask generator", "adapter", "semantic map")
"""The adapter's stage runs from masks to class logits: its maps, pooling with them, and classifying what is pooled."""


@dataclass(frozen=True)
class PreparedImage:
    """One image as a model takes it: batch (1, 3, H, W), normalized and padded, and its sizes."""

    batch: Tensor
    sizes: ImageSizes

    @classmethod
    def of(cls, segmenter: OpenVocabularySegmenter, image: np.ndarray) -> "PreparedImage":
        """Prepare an (H, W, 3) uint8 image for a model."""
        return cls(*segmenter.prepare(image))


@dataclass(frozen=True)
class StageResults:
    """What one image gave.

    labels: (H, W) int32, the class of every pixel. proposals: those of the mask generator. logits: (1, N, K + 1), the
    out-of-vocabulary classifier's. computed: (1, N) bool, the proposals that went through the whole adapter.
    """

    labels: np.ndarray
    proposals: Proposals
    logits: Tensor
    computed: Tensor


@torch.inference_mode()
def run_stages(
    segmenter: OpenVocabularySegmenter,
    image: PreparedImage,
    encoded: EncodedVocabulary,
    computation: Computation,
    clock: Clock,
    computed: Tensor | None = None,
    at_most: int | None = None,
) -> StageResults:
    """Compute the class of every pixel as ``OpenVocabularySegmenter.segment`` does, and time each stage.

    computed: (1, N) bool, the proposals that the pruned computation does not estimate, whatever the model itself would
        choose: class scores of random weights decide nothing. The choice is made all the same, and its time counts.
    at_most: use only the first so many proposals.
    """
    assert segmenter.generator is not None
    text = segmenter.text_classifier(encoded)
    with clock.part("image encoder"):
        features = segmenter.clip.encode_image(image.batch)
    with clock.part("mask generator"):
        proposals = segmenter.generator(image.batch, features, text)
    if at_most is not None:
        assert proposals.class_logits is not None
        proposals = Proposals(proposals.mask_logits[:, :at_most], proposals.class_logits[:, :at_most])
    chosen = [torch.ones(proposals.mask_logits.shape[:2], dtype=torch.bool)]

    def decide(estimate: Tensor) -> Tensor:
        own = segmenter.influential(proposals, estimate, encoded.vocabulary)
        chosen[0] = own if computed is None else computed
        return chosen[0]

    with clock.part("adapter"), pooler_for(segmenter, computation):
        prune = decide if computation == "pruned" else None
        logits = segmenter.out_of_vocabulary_logits(image.batch, features, proposals.mask_logits, text, prune)
    probs = segmenter.combine(proposals, logits, encoded.vocabulary)
    with clock.part("semantic map"):
        masks = Upsampler(proposals.mask_logits[0], image.sizes)
        order = segmenter.semantic_order
        if computation == "reference":
            labels = np.concatenate(
                [scores.argmax(dim=0).cpu().numpy() for _, scores in semantic_scores(masks, probs[0], order)]
            )
        else:
            labels = semantic_map(masks, probs[0], order)
    return StageResults(labels, proposals, logits, chosen[0])


@contextmanager
def pooler_for(segmenter: OpenVocabularySegmenter, computation: Computation) -> Iterator[None]:
    """Give a model the pooler of a computation while the block runs."""
    own = segmenter.pooler
    assert isinstance(own, AdapterPooler)
    if computation == "reference":
        segmenter.pooler = ReferencePooler(own)
    try:
        yield
    finally:
        segmenter.pooler = own
