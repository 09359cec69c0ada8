"""The models that a benchmark compares, and class lists encoded for them."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from maskadapter.benchmark.proposal_substitution import SubstitutedProposals
from maskadapter.errors import MaskAdapterError
from maskadapter.hub import load
from maskadapter.models import MODELS, Architecture, EncodedVocabulary, OpenVocabularySegmenter, build
from maskadapter.models.poolers import AdapterPooler
from maskadapter.models.proposals.superpixels import RegionHead
from maskadapter.vocabulary import Vocabulary

LAYER_SCALE = 0.1
"""Layer scale of random weights, about what trained blocks have; with that of new blocks, 1e-6, they do nothing."""


def benchmark_models(
    model: str, proposals: int, device: str
) -> tuple[OpenVocabularySegmenter, OpenVocabularySegmenter]:
    """Build the model that is timed, and the model whose results are compared.

    model: a name, for random weights of its shapes, or a file of weights. For a file both are the same. For random
    weights the second is the embedded model, whose proposals, at most ``proposals``, replace those of the first.
    Raises MaskAdapterError for a model without an adapter or without a mask generator.
    """
    timed = _timed_model(model, device)
    if model not in MODELS:
        return timed, timed
    compared = load("tiny", pooler="adapter", device=device)
    assert isinstance(compared.generator, RegionHead)
    compared.generator.merging = replace(compared.generator.merging, num_proposals=proposals)
    assert isinstance(timed.generator, nn.Module)
    timed.generator = SubstitutedProposals(timed.generator)
    return timed, compared


def encode_classes(segmenter: OpenVocabularySegmenter, classes: Any) -> EncodedVocabulary:
    """Encode a class list for a model: with its text encoder where weights are real, else as random unit vectors.

    Random vectors are as good for random weights, and hundreds of names need not go through a large text encoder.
    """
    if segmenter.text_cache is not None:
        return segmenter.encode_text(classes)
    vocabulary = Vocabulary.of(classes)
    rng = torch.Generator().manual_seed(0)
    text_embeddings = torch.randn(len(vocabulary.synonyms), segmenter.clip.embed_dim, generator=rng)
    unit = nn.functional.normalize(text_embeddings, dim=-1)
    return EncodedVocabulary(vocabulary, unit.to(segmenter.clip.logit_scale))


def _timed_model(model: str, device: str) -> OpenVocabularySegmenter:
    if model in MODELS:
        torch.manual_seed(0)
        segmenter = build(Architecture(model, "adapter")).eval().requires_grad_(False).to(device)
        assert isinstance(segmenter.pooler, AdapterPooler)
        for block in segmenter.pooler.adapter.blocks:
            nn.init.constant_(block.gamma, LAYER_SCALE)  # type: ignore[arg-type]
    else:
        segmenter = load(model, device=device)
    if not isinstance(segmenter.pooler, AdapterPooler) or segmenter.generator is None:
        raise MaskAdapterError(f"{model} has no adapter or no mask generator: the benchmark needs a model with both")
    return segmenter
