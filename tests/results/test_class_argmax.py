"""The best class and the best proposal of blocks are those of comparing all of them at every pixel."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.results.class_argmax import best_classes, best_proposals
from maskadapter.results.postprocessing import best_proposals_by_rows, semantic_map, semantic_scores
from maskadapter.results.strips import Strip
from maskadapter.results.upsampling import Upsampler
from maskadapter.types.encoded_image import ImageSizes

SIZES = {
    "as the network": ImageSizes((96, 128), (96, 128), (96, 128)),
    "padded": ImageSizes((96, 128), (91, 101), (91, 101)),
    "larger": ImageSizes((96, 128), (90, 128), (541, 770)),
    "smaller": ImageSizes((96, 128), (90, 128), (33, 47)),
    "one row": ImageSizes((32, 64), (1, 64), (1, 700)),
    "one column more than a block": ImageSizes((64, 96), (64, 65), (64, 65)),
    "one pixel": ImageSizes((32, 32), (32, 32), (1, 1)),
}


def smooth(sizes: ImageSizes, proposals: int, classes: int, seed: int = 0) -> tuple[Upsampler, Tensor]:
    """Masks that change everywhere, as a trained decoder's, and class probabilities of which a few are large."""
    rng = torch.Generator().manual_seed(seed)
    grid = [max(1, side // 4) for side in sizes.padded]
    masks = F.interpolate(torch.randn(1, proposals, 4, 5, generator=rng) * 5, grid, mode="bicubic")[0]
    return Upsampler(masks, sizes), (torch.randn(proposals, classes + 1, generator=rng) * 3).softmax(dim=-1)


def regions(sizes: ImageSizes, proposals: int, classes: int) -> tuple[Upsampler, Tensor]:
    """Masks that are 10 inside and -10 outside, as the embedded model's; some are equal, some empty."""
    masks, probs = smooth(sizes, proposals, classes, seed=1)
    binary = torch.where(masks.mask_logits > 0, 10.0, -10.0)
    binary[1::7] = binary[0]
    binary[3::9] = -10.0
    return Upsampler(binary, sizes), probs


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("order", ["masks-first", "classes-first"])
@pytest.mark.parametrize("scene", [smooth, regions])
@pytest.mark.parametrize(("proposals", "classes"), [(1, 30), (40, 100), (7, 3), (12, 1)])
def test_the_best_class_is_that_of_all_scores(scene, order, name, proposals, classes) -> None:
    masks, probs = scene(SIZES[name], proposals, classes)
    scores = torch.cat([tile for _, tile in semantic_scores(masks, probs, order)], dim=1)
    found = torch.from_numpy(semantic_map(masks, probs, order)).long()
    # Where rounding decides between equals, either is right.
    torch.testing.assert_close(scores.gather(0, found[None])[0], scores.amax(dim=0), rtol=3e-6, atol=1e-9)
    assert (found == scores.argmax(dim=0)).float().mean() > 0.998


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("scene", [smooth, regions])
@pytest.mark.parametrize("proposals", [1, 5, 60])
def test_the_best_proposal_is_that_of_all_scores(scene, name, proposals) -> None:
    masks, probs = scene(SIZES[name], proposals, 6)
    scores = probs[:, :-1].amax(dim=1)
    winners, inside, areas = best_proposals(masks, scores)
    expected, within, counted = best_proposals_by_rows(masks, scores)
    assert (winners == expected).float().mean() > 0.999
    assert (inside == within).float().mean() > 0.999
    logits = masks.logits(slice(0, masks.sizes.original[0]))
    undecided = (logits.abs() < 1e-4).flatten(1).sum(dim=1)  # by rounding alone on one side of the outline
    assert ((areas - counted).abs() <= undecided).all()


def test_a_class_that_wins_a_single_pixel() -> None:
    masks, probs = torch.full((2, 5, 130), 20.0), torch.zeros(2, 50)
    masks[1] = -20.0
    masks[1, 3, 129] = 20.0
    probs[0, 7], probs[1, 31] = 0.9, 0.95
    sizes = ImageSizes((5, 130), (5, 130), (5, 130))
    found = best_classes(Upsampler(masks, sizes), probs)
    assert found[3, 129] == 31
    assert int((found == 7).sum()) == 5 * 130 - 1


def test_masks_are_upsampled_where_they_change_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise nothing would be gained on a large image."""
    masks, probs = regions(ImageSizes((96, 128), (96, 128), (1536, 2048)), 40, 300)
    asked, given = list[int](), Strip.logits
    monkeypatch.setattr(Strip, "logits", lambda self, at, some: asked.append(len(some)) or given(self, at, some))
    best_classes(masks, (probs.log() * 4).softmax(dim=-1)[:, :-1])
    blocks = 24 * 32
    assert 0 < len(asked) < blocks / 2
    assert sum(asked) < 40 * blocks / 8
