"""Proposals without a say are guessed at, the others are computed."""

import pytest
import torch
from torch import nn

from maskadapter.models.embedding import MaskAdapterEmbedding, MaskPooling
from maskadapter.models.influence import influential
from maskadapter.models.mask_adapter import MaskAdapter
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
    logits = boxes(30, 30, 30, 1, 3, 0, 56)
    logits[2] = logits[2].flip(-1)
    # sure; doubtful, under the first; on the other side; one cell; nine cells; empty; everything
    void_probs = torch.tensor([0.1, 0.95, 0.5, 0.0, 0.0, 0.0, 0.6])
    assert influential(logits, void_probs).tolist() == [True, False, True, False, True, False, True]
    assert influential(logits, void_probs, share=0.03).tolist() == [True, True, True, False, True, False, True]
    assert influential(logits, void_probs, cells=1).tolist() == [True, False, True, True, True, False, True]


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
    embedding.computation = "exact"
    exact = embedding.weights(features, logits, void_probs)[0]
    embedding.computation = "default"
    default = embedding.weights(features, logits, void_probs)[0]
    torch.testing.assert_close(default[careful], exact[careful], rtol=1e-5, atol=1e-8)
    difference = (default - exact)[~careful].abs().sum(dim=(-2, -1))
    assert difference.max() > 1e-4  # a guess
    assert difference.max() < 0.3  # and not far off: two maps of weights can differ by 2
    # Without void probabilities (given masks, generators without classes) everything is computed.
    torch.testing.assert_close(embedding.weights(features, logits)[0], exact)


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
