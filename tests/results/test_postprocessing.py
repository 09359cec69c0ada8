"""Bands against whole images, and the three results against their plain definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.results.postprocessing import (
    PanopticMap,
    Segment,
    instances,
    join_touching,
    panoptic_map,
    semantic_map,
    semantic_scores,
)
from maskadapter.results.upsampling import Upsampler
from maskadapter.types.encoded_image import ImageSizes

FRAMES = [
    ImageSizes((64, 96), (64, 96), (64, 96)),
    ImageSizes((64, 96), (53, 91), (53, 91)),
    ImageSizes((64, 96), (53, 91), (101, 173)),
    ImageSizes((64, 96), (53, 91), (17, 29)),
    ImageSizes((32, 32), (1, 32), (1, 700)),
    ImageSizes((32, 32), (32, 32), (1, 1)),
]


def proposals(sizes: ImageSizes, count: int = 12, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, count, 4, 4, generator=generator) * 4
    h, w = (max(1, side // 4) for side in sizes.padded)
    masks = F.interpolate(coarse, (h, w), mode="bicubic")[0]
    return masks, (torch.randn(count, classes + 1, generator=generator) * 3).softmax(-1)


def whole(masks: Tensor, sizes: ImageSizes) -> Tensor:
    """The direct computation: two calls of interpolate, everything in memory."""
    padded = F.interpolate(masks[None], sizes.padded, mode="bilinear", align_corners=False)
    cut = padded[..., : sizes.resized[0], : sizes.resized[1]]
    return F.interpolate(cut, sizes.original, mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("sizes", FRAMES)
@pytest.mark.parametrize("pixels", [1, 500, 1 << 18])
def test_bands_are_two_interpolations(sizes: ImageSizes, pixels: int) -> None:
    masks, _ = proposals(sizes)
    upsampler = Upsampler(masks, sizes)
    rows = list(upsampler.tiles(pixels))
    assert [i for tile in rows for i in range(tile.start, tile.stop)] == list(range(sizes.original[0]))
    got = torch.cat([upsampler.logits(tile) for tile in rows], dim=1)
    torch.testing.assert_close(got, whole(masks, sizes), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("sizes", FRAMES)
def test_semantic_in_both_orders(sizes: ImageSizes) -> None:
    masks, probs = proposals(sizes)
    upsampler = Upsampler(masks, sizes)
    first = torch.einsum("nk,nhw->khw", probs[:, :-1], whole(masks, sizes).sigmoid())
    got = torch.cat([tile for _, tile in semantic_scores(upsampler, probs, "masks-first")], dim=1)
    torch.testing.assert_close(got, first, atol=1e-5, rtol=1e-4)

    padded = F.interpolate(masks[None], sizes.padded, mode="bilinear", align_corners=False)[0].sigmoid()
    classes = torch.einsum("nk,nhw->khw", probs[:, :-1], padded)[:, : sizes.resized[0], : sizes.resized[1]]
    last = F.interpolate(classes[None], sizes.original, mode="bilinear", align_corners=False)[0]
    got = torch.cat([tile for _, tile in semantic_scores(upsampler, probs, "classes-first")], dim=1)
    torch.testing.assert_close(got, last, atol=1e-5, rtol=1e-4)
    labels = semantic_map(upsampler, probs, "classes-first")
    assert labels.dtype == np.int32
    assert (labels == got.argmax(dim=0).numpy()).all()


def panoptic_by_definition(mask_probs: Tensor, probs: Tensor, is_thing: list[bool], threshold: float) -> tuple:
    """One proposal after the other, as the rule is reported."""
    scores, labels = probs.max(-1)
    kept = [n for n in range(len(probs)) if labels[n] != probs.shape[1] - 1]
    winner = torch.stack([scores[n] * mask_probs[n] for n in kept]).argmax(0)
    ids, segments, stuff = torch.zeros(mask_probs.shape[1:], dtype=torch.int32), [], {}
    for place, n in enumerate(kept):
        won, own = winner == place, mask_probs[n] >= 0.5
        region = won & own
        if not region.any() or int(won.sum()) / int(own.sum()) < threshold:
            continue
        label = int(labels[n])
        if not is_thing[label] and label in stuff:
            ids[region] = stuff[label]
            continue
        segments.append((label, is_thing[label]))
        ids[region] = len(segments)
        if not is_thing[label]:
            stuff[label] = len(segments)
    return ids.numpy(), segments


@pytest.mark.parametrize("sizes", FRAMES[:4])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.8])
def test_panoptic(sizes: ImageSizes, threshold: float) -> None:
    masks, probs = proposals(sizes, count=20)
    is_thing = [True, False, True, False, False]
    ids, segments = panoptic_by_definition(whole(masks, sizes).sigmoid(), probs, is_thing, threshold)
    got = panoptic_map(Upsampler(masks, sizes), probs, is_thing, threshold)
    assert (got.ids != ids).mean() < 1e-3
    assert [(s.label, s.is_thing) for s in got.segments] == segments
    assert [s.id for s in got.segments] == list(range(1, len(segments) + 1))
    assert [s.area for s in got.segments] == [(got.ids == s.id).sum() for s in got.segments]
    if threshold < 0.8:
        assert len(segments) > 1


def test_instances_are_the_best_pairs_of_things() -> None:
    sizes = FRAMES[2]
    masks, probs = proposals(sizes)
    is_thing = [True, False, True, False, False]
    logits = whole(masks, sizes)
    pairs = sorted(((float(probs[n, k]), n, k) for n in range(12) for k in range(5)), reverse=True)[:20]
    expected = []
    for score, n, k in pairs:
        inside = logits[n] > 0
        if is_thing[k]:
            expected.append((score * float((logits[n].sigmoid() * inside).sum() / (inside.sum() + 1e-6)), n, k))
    expected.sort(reverse=True)
    got = instances(Upsampler(masks, sizes), probs, is_thing, top=20)
    np.testing.assert_allclose(got.scores, [score for score, _, _ in expected], atol=1e-5)
    assert got.labels.tolist() == [k for _, _, k in expected]
    for mask, box, (_, n, _) in zip(got.masks, got.boxes, expected, strict=True):
        assert (mask != (logits[n] > 0).numpy()).mean() < 1e-3
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_nothing_proposed_gives_empty_results_of_the_usual_type() -> None:
    sizes = FRAMES[2]
    empty = Upsampler(torch.zeros(0, 16, 24), sizes), torch.zeros(0, 6)
    is_thing = [True] * 5
    assert (semantic_map(*empty, "masks-first") == -1).all()
    panoptic = panoptic_map(*empty, is_thing, 0.8)
    assert panoptic.ids.shape == sizes.original
    assert panoptic.segments == ()
    found = instances(*empty, is_thing)
    assert found.masks.shape == (0, *sizes.original)
    assert (found.boxes.shape, found.labels.shape, found.scores.shape) == ((0, 4), (0,), (0,))


def test_only_void_gives_no_segments() -> None:
    sizes = FRAMES[0]
    masks, probs = proposals(sizes)
    void = torch.zeros_like(probs)
    void[:, -1] = 1
    assert panoptic_map(Upsampler(masks, sizes), void, [True] * 5, 0.8).segments == ()


def test_touching_parts_of_one_class_become_one_segment():
    #  cat 1 | cat 2 | wall 3 | cat 4 (apart), and a part of cat 1 that lies apart stays with it
    ids = np.array([[1, 1, 2, 3, 4], [1, 2, 2, 3, 4], [0, 0, 0, 0, 0], [1, 0, 3, 3, 3]], np.int32)
    scores = {1: 0.2, 2: 0.8, 3: 0.5, 4: 0.9}
    segments = tuple(
        Segment(i, 0 if i != 3 else 1, i != 3, scores[i], int((ids == i).sum()), proposal=10 + i) for i in range(1, 5)
    )
    joined = join_touching(PanopticMap(ids, segments))
    assert joined.ids.tolist() == [[1, 1, 1, 2, 3], [1, 1, 1, 2, 3], [0, 0, 0, 0, 0], [1, 0, 2, 2, 2]]
    assert [(s.id, s.label, s.area, s.is_thing) for s in joined.segments] == [
        (1, 0, 7, True),
        (2, 1, 5, False),
        (3, 0, 2, True),
    ]
    assert joined.segments[0].score == pytest.approx((4 * 0.2 + 3 * 0.8) / 7)
    assert [s.proposal for s in joined.segments] == [11, 13, 14]
    empty = join_touching(PanopticMap(np.zeros((3, 1), np.int32), ()))
    assert empty.segments == ()
    assert not empty.ids.any()
