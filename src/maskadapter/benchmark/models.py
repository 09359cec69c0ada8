"""The models that a benchmark compares, and class lists encoded for them."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import load
from maskadapter.models import (
    MODELS,
    Architecture,
    EncodedVocabulary,
    OpenVocabularySegmenter,
    PrecisionName,
    TextClassifier,
    build,
    choose_precision,
    keep_in,
)
from maskadapter.models.poolers import AdapterPooler
from maskadapter.models.proposals.superpixels import RegionHead
from maskadapter.types import ClipFeatures, ImageBatch, ImageSizes, Proposals
from maskadapter.vocabulary import Vocabulary

LAYER_SCALE = 0.1
"""Layer scale of random weights, about what trained blocks have; with that of new blocks, 1e-6, they do nothing."""


class SubstitutedProposals(nn.Module):
    """Run a proposal head, ``generator``, whose time counts, discard what it proposes, and return given proposals.

    What the adapter's time and pruning depend on, masks and their class scores, are noise with random weights.
    """

    fixed_number = True

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def substitute(self, proposals: Proposals, class_logits: Tensor, found: ImageSizes, needed: ImageSizes) -> None:
        """Set the proposals of one image, resampled to stride 4, and their class logits (1, N, K + 1).

        found, needed: the sizes of that image in the model that found them and in the one that is timed.
        """
        stride = found.padded[0] // proposals.mask_logits.shape[-2]
        masks = proposals.mask_logits[..., : found.resized[0] // stride, : found.resized[1] // stride]
        masks = F.interpolate(masks, (needed.resized[0] // 4, needed.resized[1] // 4), mode="area")
        bottom, right = (full // 4 - side for full, side in zip(needed.padded, masks.shape[-2:], strict=True))
        # Low logits leave the padding out of every mask. The class logits stand in the place of class embeddings.
        self._proposals = Proposals(F.pad(masks, (0, right, 0, bottom), value=-10.0), class_logits)

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        """Run the head and return the given proposals, those of one image for each of a batch."""
        self._own, given = self.generator(inputs, features), self._proposals
        count = len(inputs.pixels)
        assert given.class_embeddings is not None
        return Proposals(given.mask_logits.repeat(count, 1, 1, 1), given.class_embeddings.repeat(count, 1, 1))

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """Classify the head's own proposals and return the given class logits; zeros for a list of other length."""
        given = proposals.class_embeddings
        assert given is not None
        own: Tensor = self.generator.class_logits(self._own, text)  # type: ignore[operator]
        return given if given.shape[-1] == own.shape[-1] else given.new_zeros(*given.shape[:2], own.shape[-1])


def benchmark_models(
    model: str, proposals: int, device: str, precision: PrecisionName = "fp32"
) -> tuple[OpenVocabularySegmenter, OpenVocabularySegmenter]:
    """Return the model that is timed, and the model whose results are compared: the same one for a file of weights.

    A name is random weights of its shapes; the second is then the embedded model, whose proposals, at most
    ``proposals``, replace those of the first. precision: of the model that is timed. Raises MaskAdapterError without an
    adapter or a mask generator, and as ``choose_precision``.
    """
    if model not in MODELS:
        timed = load(model, device=device, precision=precision)
        if not isinstance(timed.pooler, AdapterPooler) or timed.generator is None:
            needed = "the benchmark needs a model with both"
            raise MaskAdapterError(f"{model} has no adapter or no mask generator: {needed}")
        return timed, timed
    torch.manual_seed(0)
    timed = build(Architecture(model, "adapter")).eval().requires_grad_(False)
    assert isinstance(timed.generator, nn.Module)
    for name, parameter in timed.named_parameters():
        if name.endswith(".gamma"):  # of the adapter's blocks and of ConvNeXt's
            nn.init.constant_(parameter, LAYER_SCALE)
    timed = keep_in(timed, choose_precision(precision, model, device)).to(device)
    timed.generator = SubstitutedProposals(timed.generator)
    compared = load("tiny", pooler="adapter", device=device, precision="fp32")
    assert isinstance(compared.generator, RegionHead)
    compared.generator.merging = replace(compared.generator.merging, num_proposals=proposals)
    return timed, compared


def encode_classes(segmenter: OpenVocabularySegmenter, classes: Any) -> EncodedVocabulary:
    """Encode a class list with a model's text encoder; for random weights as random vectors, which are as good."""
    if segmenter.text_cache is not None:
        return segmenter.encode_text(classes)
    vocabulary = Vocabulary.of(classes)
    rng = torch.Generator().manual_seed(0)
    text_embeddings = torch.randn(len(vocabulary.synonyms), segmenter.clip.embed_dim, generator=rng)
    return EncodedVocabulary(vocabulary, F.normalize(text_embeddings, dim=-1).to(segmenter.clip.logit_scale))
