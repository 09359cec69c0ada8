"""The best classes of pieces are those of the whole."""

import pytest
import torch

from maskadapter.results import class_argmax as module
from maskadapter.results.class_argmax import best_classes


def scene(proposals, classes, height, width, seed=0, sure=5.0):
    """Random but smooth masks, and class probabilities of which a few are large."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, proposals, 4, 5, generator=random) * sure
    masks = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].sigmoid()
    return (torch.randn(proposals, classes, generator=random) * 3).softmax(dim=-1), masks


@pytest.mark.parametrize("width", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(("proposals", "classes"), [(1, 30), (40, 100), (100, 847), (7, 3)])
def test_pieces_agree_with_the_whole(proposals, classes, width):
    probs, masks = scene(proposals, classes, 13, width)
    scores = torch.einsum("nk,nhw->khw", probs, masks)
    found = best_classes(probs, masks)
    assert found.shape == (13, width)
    # Where rounding decides between equals, either is right.
    torch.testing.assert_close(scores.gather(0, found[None])[0], scores.amax(dim=0), rtol=1e-6, atol=0)
    assert (found == scores.argmax(dim=0)).float().mean() > 0.999


def test_a_class_that_wins_a_single_pixel():
    probs = torch.zeros(2, 50)
    probs[0, 7], probs[1, 31] = 0.9, 0.95
    masks = torch.stack([torch.ones(5, 130), torch.zeros(5, 130)])
    masks[1, 3, 129] = 1.0
    found = best_classes(probs, masks)
    assert found[3, 129] == 31
    assert int((found == 7).sum()) == 5 * 130 - 1


def test_few_classes_are_computed_for_a_piece(monkeypatch):
    """Otherwise nothing would be gained. The masks share the image out, as a generator's do."""
    probs, masks = scene(100, 847, 13, 640, sure=1.0)
    probs, masks = (probs.log() * 4).softmax(dim=-1), (masks * 20).softmax(dim=0)
    sizes = []
    monkeypatch.setattr(torch.Tensor, "nonzero", lambda x, given=torch.Tensor.nonzero: sizes.append(x) or given(x))
    best_classes(probs, masks)
    left = [int(possible.sum()) for possible in sizes]
    assert len(left) == 640 / module._COLUMNS
    assert sum(left) / len(left) < 847 / 8
