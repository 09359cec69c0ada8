"""One image through a model, part by part."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposal_pruning import influential, pruned_embeddings
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.results.postprocessing import semantic_map, semantic_scores
from maskadapter.results.upsampling import Upsampler
from maskadapter.types.image_batch import ImageBatch
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
    """One image at a network's size."""

    batch: ImageBatch
    sizes: ImageSizes

    @classmethod
    def of(cls, segmenter: OpenVocabularySegmenter, image: np.ndarray, size: InputSize | None = None) -> "Input":
        return cls(*segmenter.prepare(image, size))


@dataclass(frozen=True)
class Answer:
    """labels: (H, W) int32, the class of every pixel. proposals: of the generator, and their class logits. logits:
    (1, N, K + 1), those of the adapter. computed: (1, N) bool, which of them went through it."""

    labels: np.ndarray
    proposals: Proposals
    class_logits: Tensor
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
    pooler = ReferencePooler(segmenter.pooler) if computation == "direct" else segmenter.pooler
    text = segmenter.text_classifier(encoded)
    with clock.part("image encoder"):
        features = segmenter.clip.encode_image(given.batch.pixels)
    with clock.part("mask generator"):
        proposals = segmenter.generator(given.batch, features)
        class_logits = segmenter.class_logits(proposals, text)
    assert class_logits is not None
    mask_logits, class_logits = proposals.mask_logits[:, :at_most], class_logits[:, :at_most]
    chosen = [torch.ones(mask_logits.shape[:2], dtype=torch.bool)]

    def choose(estimates: Tensor) -> Tensor:
        probs = segmenter.combine(class_logits, logits_of(estimates), encoded.vocabulary)
        own = torch.stack([influential(*image) for image in zip(mask_logits, probs, strict=True)])
        chosen[0] = own if computed is None else computed
        return chosen[0]

    with clock.part("adapter"):
        transferred = segmenter.transferred(text, features)

        def logits_of(embeddings: Tensor) -> Tensor:
            return transferred.logits(embeddings, segmenter.clip.logit_scale)

        if computation == "default":
            embeddings = pruned_embeddings(pooler, features, mask_logits, segmenter.clip.project, choose)
        else:
            embeddings = pooler(given.batch.pixels, features, mask_logits, segmenter.clip.project)
        logits = logits_of(embeddings)
    probs = segmenter.combine(class_logits, logits, encoded.vocabulary)
    with clock.part("semantic map"):
        masks = Upsampler(mask_logits[0], given.sizes)
        order = segmenter.semantic_order
        if computation == "direct":
            labels = np.concatenate(
                [scores.argmax(dim=0).cpu().numpy() for _, scores in semantic_scores(masks, probs[0], order)]
            )
        else:
            labels = semantic_map(masks, probs[0], order)
    return Answer(labels, proposals, class_logits, logits, chosen[0])
