"""One picture through a model, part by part."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from maskadapter.benchmark.clock import Clock
from maskadapter.models.embedding import MaskAdapterEmbedding
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.postprocess import semantic_map
from maskadapter.resampling import Enlarger, Frame

Computation = Literal["direct", "exact", "default"]
"""How the adapter is computed: as the paper has it, every mask at every cell; the same by ``SparseAdapter``; so for the
proposals that have a say, the others guessed at. The rest of the model is the same in all three."""

PARTS = ("image tower", "mask generator", "adapter", "pooling and names", "semantic map")


@dataclass(frozen=True)
class Answer:
    """labels: (H, W) int32, the class of every pixel. weights: (1, N, M, h, w), where the adapter pooled."""

    labels: np.ndarray
    weights: Tensor


@torch.inference_mode()
def answer(
    segmenter: OpenVocabularySegmenter,
    batch: Tensor,
    frame: Frame,
    encoded: EncodedVocabulary,
    computation: Computation,
    clock: Clock,
) -> Answer:
    """What ``OpenVocabularySegmenter.segment`` computes for the class of every pixel, each part timed."""
    embedding = segmenter.embedding
    assert isinstance(embedding, MaskAdapterEmbedding)
    assert segmenter.generator is not None
    embedding.direct = computation == "direct"
    text = segmenter.text_classifier(encoded)
    with clock.part("image tower"):
        features = segmenter.clip.encode_image(batch)
    with clock.part("mask generator"):
        proposals = segmenter.generator(batch, features, text)
    assert proposals.class_logits is not None
    with clock.part("adapter"):
        void_probs = proposals.class_logits.softmax(dim=-1)[..., -1] if computation == "default" else None
        weights = embedding.weights(features, proposals.mask_logits, void_probs)
    with clock.part("pooling and names"):
        if segmenter.text_transfer is not None:
            text = text.with_rows(segmenter.text_transfer(text.rows, features.projected))
        embeddings = embedding.pool(weights, features, segmenter.clip.project)
        out_logits = text.logits(embeddings, segmenter.clip.logit_scale)
        probs = segmenter.combine(proposals.class_logits, out_logits, encoded.vocabulary)
    with clock.part("semantic map"):
        masks = Enlarger(proposals.mask_logits[0], frame)
        labels = semantic_map(masks, probs[0], segmenter.inference.semantic_order)
    return Answer(labels, weights)
