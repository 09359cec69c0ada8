"""One image through a model, part by part."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from maskadapter.benchmark.clock import Clock
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.poolers.pooler import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.results.postprocessing import semantic_map, semantic_scores
from maskadapter.results.upsampling import Upsampler
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals

Computation = Literal["direct", "exact", "default"]
"""How the adapter is computed: as the paper has it, every mask at every cell; the same by ``SparseAdapter``; so for the
proposals that can change the result, the others guessed at. The class of a pixel is told from the scores of all classes
in the first, and by ``best_classes`` in the others; the rest of the model is the same in all three."""

PARTS = ("image encoder", "mask generator", "adapter", "semantic map")
"""The adapter: from masks to class logits. Its maps, pooling with them, and the names of what is pooled."""


@dataclass(frozen=True)
class Input:
    """One image at a network's size: batch (1, 3, H, W)."""

    batch: Tensor
    sizes: ImageSizes

    @classmethod
    def of(cls, segmenter: OpenVocabularySegmenter, image: np.ndarray, size: InputSize | None = None) -> "Input":
        return cls(*segmenter.prepare(image, size))


@dataclass(frozen=True)
class Answer:
    """labels: (H, W) int32, the class of every pixel. proposals: of the generator. logits: (1, N, K + 1), what the
    adapter takes them for. computed: (1, N) bool, which of them went through it."""

    labels: np.ndarray
    proposals: Proposals
    logits: Tensor
    computed: Tensor


@torch.inference_mode()
def answer(
    segmenter: OpenVocabularySegmenter,
    given: Input,
    encoded: EncodedVocabulary,
    computation: Computation,
    clock: Clock,
    computed: Tensor | None = None,
    at_most: int | None = None,
) -> Answer:
    """What ``OpenVocabularySegmenter.segment`` computes for the class of every pixel, each part timed.

    computed: (1, N) bool, which proposals are computed by default whatever the model itself would choose: names of
    random weights decide on nothing. That it chooses counts. at_most: of the proposals, the first ones.
    """
    assert isinstance(segmenter.pooler, AdapterPooler)
    assert segmenter.generator is not None
    segmenter.pooler.direct = computation == "direct"
    text = segmenter.text_classifier(encoded)
    with clock.part("image encoder"):
        features = segmenter.clip.encode_image(given.batch)
    with clock.part("mask generator"):
        proposals = segmenter.generator(given.batch, features, text)
    if at_most is not None:
        assert proposals.class_logits is not None
        proposals = Proposals(proposals.mask_logits[:, :at_most], proposals.class_logits[:, :at_most])
    chosen = [torch.ones(proposals.mask_logits.shape[:2], dtype=torch.bool)]

    def decide(guess: Tensor) -> Tensor:
        own = segmenter.influential(proposals, guess, encoded.vocabulary)
        chosen[0] = own if computed is None else computed
        return chosen[0]

    with clock.part("adapter"):
        careful = decide if computation == "default" else None
        logits = segmenter.out_of_vocabulary_logits(given.batch, features, proposals.mask_logits, text, careful)
    probs = segmenter.combine(proposals, logits, encoded.vocabulary)
    with clock.part("semantic map"):
        masks = Upsampler(proposals.mask_logits[0], given.sizes)
        order = segmenter.semantic_order
        if computation == "direct":
            labels = np.concatenate(
                [scores.argmax(dim=0).cpu().numpy() for _, scores in semantic_scores(masks, probs[0], order)]
            )
        else:
            labels = semantic_map(masks, probs[0], order)
    return Answer(labels, proposals, logits, chosen[0])
