"""Proposals without a say are guessed at, the others are computed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from maskadapter.models.build import MODELS
from maskadapter.models.embedding import MaskAdapterEmbedding, MaskPooling
from maskadapter.models.influence import influential
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.preprocess import InputSize
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.structures import ClipFeatures

CELLS = (10, 14)


def boxes(*sides):
    """(N, 40, 56) logits: +-10, a box in the top left corner for each side."""
    logits = torch.full((len(sides), 40, 56), -10.0)
    for mask, side in zip(logits, sides, strict=True):
        mask[:side, :side] = 10.0
    return logits


def test_a_say_needs_weight_and_place():
    logits = boxes(30, 30, 30, 1, 0, 56)
    logits[2] = logits[2].flip(-1)
    # sure; doubtful, under the first; on the other side; one cell; empty; everything
    void_probs = torch.tensor([0.1, 0.95, 0.5, 0.0, 0.0, 0.6])
    assert influential(logits, void_probs).tolist() == [True, False, True, True, False, True]
    assert influential(logits, void_probs, share=0.05).tolist() == [True, True, True, True, False, True]


def test_equals_count_however_many_they_are():
    assert influential(boxes(*[20] * 40), torch.full((40,), 0.1)).all()


def test_a_doubtful_proposal_counts_where_it_is_alone():
    assert influential(boxes(20), torch.tensor([0.98])).tolist() == [True]


@pytest.fixture
def embedding():
    torch.manual_seed(0)
    embedding = MaskAdapterEmbedding(MaskAdapter(24, hidden_dim=32, num_maps=4))
    for block in embedding.adapter.blocks:
        nn.init.uniform_(block.gamma, 0.5, 1.0)
    return embedding.requires_grad_(False)


def test_the_default_computes_those_with_a_say_and_guesses_at_the_others(embedding):
    features = ClipFeatures({}, torch.randn(1, 8, *CELLS), torch.randn(1, 24, *CELLS))
    logits, void_probs = boxes(30, 20, 12, 5)[None], torch.tensor([[0.1, 0.999, 0.2, 0.1]])
    careful = influential(logits[0], void_probs[0])
    assert careful.tolist() == [True, False, True, True]
    exact = embedding.weights(features, logits)[0]
    default = embedding.weights(features, logits, void_probs)[0]
    torch.testing.assert_close(default[careful], exact[careful], rtol=1e-5, atol=1e-8)
    difference = (default - exact)[~careful].abs().sum(dim=(-2, -1))
    assert difference.max() > 1e-4  # a guess
    assert difference.max() < 0.3  # and not far off: two maps of weights can differ by 2


@pytest.mark.parametrize("void", [1.0, float("nan")])
def test_nobody_has_a_say(embedding, void):
    """As of weights that were not trained, or are broken: the latter is told where the numbers are looked at."""
    features = ClipFeatures({}, torch.randn(1, 8, *CELLS), torch.randn(1, 24, *CELLS))
    weights = embedding.weights(features, boxes(30, 20, 12, 5)[None], torch.full((1, 4), void))
    assert weights.shape == (1, 4, 4, *CELLS)
    torch.testing.assert_close(weights.sum(dim=(-2, -1)), torch.ones(1, 4, 4))


def test_a_guess_is_right_where_it_can_be(embedding):
    """For the empty and the full mask there is nothing to guess; half of a mask's cells lie between the two."""
    adapter = SparseAdapter(embedding.adapter, torch.randn(1, 24, *CELLS))
    masks = torch.stack([torch.zeros(40, 56), torch.ones(40, 56), torch.ones(40, 56)])
    masks[2, :, 28:] = 0
    rough, exact = adapter.rough(masks), adapter(masks)
    torch.testing.assert_close(rough[:2], exact[:2])
    torch.testing.assert_close(rough[2, :, :, :6], exact[1, :, :, :6])
    torch.testing.assert_close(rough[2, :, :, 8:], exact[0, :, :, 8:])


def test_mask_pooling_takes_no_notice():
    features = ClipFeatures({}, torch.randn(1, 8, *CELLS), torch.randn(1, 24, *CELLS))
    logits, void_probs = boxes(30, 20)[None], torch.tensor([[0.1, 0.999]])
    pool = MaskPooling()
    assert torch.equal(
        pool(torch.zeros(1), features, logits, lambda x: x, void_probs),
        pool(torch.zeros(1), features, logits, lambda x: x),
    )


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    return MODELS["tiny-mask2former"]("adapter").eval().requires_grad_(False)


def test_a_new_generator_of_which_nothing_is_sure(segmenter):
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    segmenter.inference = replace(segmenter.inference, fast=True, input_size=InputSize(96, 96))
    assert segmenter.segment(picture, "cat, dog").size == (60, 80)


def test_fast_is_a_setting_that_the_embedding_follows(segmenter, monkeypatch):
    seen = []
    monkeypatch.setattr(
        MaskAdapterEmbedding, "forward", lambda self, images, features, masks, project, void: seen.append(void) or 1 / 0
    )
    for fast in (True, False):
        segmenter.inference = replace(segmenter.inference, fast=fast, input_size=InputSize(96, 96))
        with pytest.raises(ZeroDivisionError):
            segmenter.segment(np.zeros((60, 80, 3), np.uint8), "cat, dog")
    assert seen[0].shape == (1, 50)
    assert seen[1] is None
