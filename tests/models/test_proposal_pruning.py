"""Proposals that can change nothing are guessed at, the others are computed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_segmenter import small
from torch import nn

from maskadapter.models import segmenter as segmenter_module
from maskadapter.models.builder import Architecture, build
from maskadapter.models.config import AdapterConfig
from maskadapter.models.mask_adapter import MaskAdapter, pool_with_maps
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposal_pruning import influential, pruned_embeddings
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.types.encoded_image import ClipFeatures

CELLS = (10, 14)
EVERYTHING = 56


def boxes(*sides):
    """(N, 40, 56) logits: +-10, a box in the top left corner for each side."""
    logits = torch.full((len(sides), 40, 56), -10.0)
    for mask, side in zip(logits, sides, strict=True):
        mask[:side, :side] = 10.0
    return logits


def test_a_proposal_that_is_far_behind_changes_nothing():
    logits = boxes(EVERYTHING, 20, 20)
    sure, doubtful = [0.9, 0.05, 0.05], [0.02, 0.08, 0.9]
    probs = torch.tensor([sure, doubtful, [0.001, 0.009, 0.99]])
    assert influential(logits, probs, doubt=0.5).tolist() == [False, False, False]
    assert influential(logits, probs, doubt=9).tolist() == [True, True, False]


def test_equals_that_contend_for_the_same_cells_do():
    probs = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.75, 0.15], [0.01, 0.01, 0.98]])
    assert influential(boxes(20, 20, 20), probs).tolist() == [True, True, False]
    elsewhere = boxes(20, 20, 20)
    elsewhere[1] = elsewhere[1].flip(-1)
    assert influential(elsewhere, probs).tolist() == [False, False, False]


def test_a_doubtful_proposal_does_where_it_is_alone():
    probs = torch.tensor([[0.022, 0.02, 0.958], [0.9, 0.0, 0.1]])
    assert influential(boxes(30, 10), probs).tolist() == [True, False]
    assert influential(boxes(2, 0), probs, smallest=0.01).tolist() == [False, False]  # of four pixels


def test_many_classes_that_share_the_doubt_are_not_more_doubtful():
    """What counts is how near the second class comes to the first, and not how much both have."""
    few = torch.tensor([[0.6, 0.2, 0.2]])
    many = torch.cat([torch.tensor([[0.06, 0.02]]), torch.full((1, 41), 0.018), torch.tensor([[0.182]])], dim=1)
    assert influential(boxes(30), few).tolist() == influential(boxes(30), many).tolist() == [False]


def test_a_segment_does_whose_name_has_a_rival():
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.8, 0.15, 0.05], [0.6, 0.1, 0.3], [0.3, 0.2, 0.5]])
    apart = boxes(10, 10, 10, 10)
    apart[1], apart[2], apart[3] = apart[1].flip(-1), apart[2].flip(-2), apart[3].flip(-2).flip(-1)
    assert influential(apart, probs, doubt=0).tolist() == [True, False, False, False]
    assert influential(apart, probs, doubt=0, rival=0.1).tolist() == [True, True, True, False]


def test_where_no_mask_is_there_is_nothing_to_change():
    probs = torch.tensor([[0.41, 0.39, 0.2], [0.39, 0.41, 0.2]])
    assert not influential(boxes(0, 0), probs, rival=1).any()


@pytest.mark.parametrize("classes", [0, 1])
def test_one_class_has_no_rival(classes):
    probs = torch.full((3, classes + 1), 1 / (classes + 1))
    assert influential(boxes(20, 30, 5), probs).tolist() == [False] * 3


def test_no_proposals_and_numbers_that_are_none():
    assert influential(boxes(), torch.zeros(0, 3)).shape == (0,)
    assert not influential(boxes(20, 30), torch.full((2, 3), float("nan"))).any()


@pytest.fixture
def pooler():
    torch.manual_seed(0)
    pooler = AdapterPooler(MaskAdapter(24, AdapterConfig(hidden_dim=32, num_maps=4)))
    for block in pooler.adapter.blocks:
        nn.init.uniform_(block.gamma, 0.5, 1.0)
    return pooler.requires_grad_(False)


def embedded(pooler, logits, choose=None):
    torch.manual_seed(1)
    features = ClipFeatures({}, torch.randn(2, 8, *CELLS), torch.randn(2, 24, *CELLS))
    if choose is None:
        return pooler(torch.zeros(1), features, logits, lambda pooled: pooled)
    return pruned_embeddings(pooler, features, logits, lambda pooled: pooled, choose)


def test_what_is_decided_on_is_computed_and_the_rest_is_a_guess(pooler):
    logits = torch.stack([boxes(30, 20, 12, 5), boxes(6, 25, 9, 40)])
    exact = embedded(pooler, logits)
    asked = []

    def some(guess):
        asked.append(guess.clone())
        return torch.tensor([[True, False, True, False], [False, False, False, False]])

    mixed = embedded(pooler, logits, some)
    guess = asked[0]
    assert guess.shape == exact.shape
    assert torch.equal(mixed[0, [1, 3]], guess[0, [1, 3]])
    assert torch.equal(mixed[1], guess[1])
    off = (guess - exact).norm(dim=-1) / exact.norm(dim=-1)
    left = (mixed - exact)[0, [0, 2]].norm(dim=-1) / exact[0, [0, 2]].norm(dim=-1)
    assert off.min() > 1e-3  # a guess
    assert off.max() < 0.5  # and not far off
    assert (left < 0.5 * off[0, [0, 2]]).all()


def test_with_the_whole_reach_what_is_computed_is_exact(pooler, monkeypatch):
    monkeypatch.setattr("maskadapter.models.proposal_pruning._REACH", (3,))
    logits = torch.stack([boxes(30, 20, 12, 5), boxes(6, 25, 9, 40)])
    everything = embedded(pooler, logits, lambda guess: torch.ones(guess.shape[:2], dtype=torch.bool))
    torch.testing.assert_close(everything, embedded(pooler, logits))


def test_a_guess_is_right_where_it_can_be(pooler):
    """For the empty and the full mask there is nothing to guess; half of a mask's cells lie between the two."""
    adapter = SparseAdapter(pooler.adapter, torch.randn(1, 24, *CELLS))
    masks = torch.stack([torch.zeros(40, 56), torch.ones(40, 56), torch.ones(40, 56)])
    masks[2, :, 28:] = 0
    estimate, exact = adapter.estimate(masks), adapter(masks)
    torch.testing.assert_close(estimate[:2], exact[:2])
    torch.testing.assert_close(estimate[2, :, :, :6], exact[1, :, :, :6])
    torch.testing.assert_close(estimate[2, :, :, 8:], exact[0, :, :, 8:])


def test_mask_pooling_is_never_pruned():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    model = small("pooling")
    exact = model.segment(image, "cat, dog")
    model.inference = replace(model.inference, prune_proposals=True)
    assert model.encode_image(image).mask_embeddings is not None
    assert torch.equal(model.segment(image, "cat, dog").probs, exact.probs)


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    model = build(Architecture("tiny-mask2former", "adapter")).eval().requires_grad_(False)
    model.pooler.adapter.final.weight *= 100  # or its maps would be nearly even, and estimates nearly right
    return model


@pytest.mark.parametrize("words", ["cat, dog", "cat"])
def test_a_new_generator_of_which_nothing_is_sure(segmenter, words):
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    segmenter.inference = replace(segmenter.inference, prune_proposals=True, input_size=InputSize(96, 96))
    assert segmenter.segment(image, words).size == (60, 80)


def test_pruning_is_a_setting_that_is_off_by_default(segmenter, monkeypatch):
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    segmenter.inference = replace(segmenter.inference, prune_proposals=False, input_size=InputSize(96, 96))
    exact = segmenter.segment(image, "cat, dog")
    pooler = segmenter.pooler
    encoded = segmenter.encode_image(image)
    maps = pooler.adapter(encoded.features.projected, pooler.binary(encoded.proposals.mask_logits))[0]
    embeddings = pool_with_maps(maps, encoded.features.dense[0], segmenter.clip.project)
    torch.testing.assert_close(encoded.mask_embeddings[0], embeddings, rtol=1e-4, atol=1e-5)
    segmenter.inference = replace(segmenter.inference, prune_proposals=True)
    assert segmenter.encode_image(image).mask_embeddings is None
    chosen = torch.arange(len(exact.probs)) % 2 == 0  # of random proposals all may be influential
    monkeypatch.setattr(segmenter_module, "influential", lambda mask_logits, probs: chosen)
    pruned = segmenter.segment(image, "cat, dog")
    assert torch.equal(pruned.mask_logits, exact.mask_logits)
    torch.testing.assert_close(pruned.probs[chosen], exact.probs[chosen], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(pruned.probs[~chosen], exact.probs[~chosen], rtol=1e-4, atol=1e-5)
    assert build(Architecture("tiny", "adapter")).inference.prune_proposals is False
