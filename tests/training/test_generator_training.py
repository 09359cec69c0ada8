"""Training a mask generator: the Hungarian matcher against brute force, the losses by hand, and a small one that
learns."""

from itertools import permutations
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskadapter.errors import MaskError
from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.mask2former.deformable_attention import DeformableAttention
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead, MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.training.batch import MaskTargets
from maskadapter.training.generator import stage as generator_loss
from maskadapter.training.generator.hungarian_matching import (
    NUM_POINTS,
    MatchingCosts,
    match_by_cost,
    matching_cost,
    sample_at_points,
    uncertain_points,
    uniform_points,
)
from maskadapter.training.generator.initialization import initialize_mask_generator
from maskadapter.training.generator.stage import MaskGeneratorLoss, class_loss
from maskadapter.types.encoded_image import ClipFeatures, ImageBatch
from maskadapter.types.target import Target

CLASSES = 3


class Head(NamedTuple):
    """Predictions of one head, as the loss takes them."""

    mask_logits: torch.Tensor
    class_logits: torch.Tensor


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_targets(count: int, size: tuple[int, int] = (8, 8), seed: int = 0) -> MaskTargets:
    rng = seeded(seed)
    masks = torch.rand(count, *size, generator=rng) > 0.5
    return MaskTargets(masks, torch.randint(CLASSES, (count,), generator=rng))


def random_proposals(batch: int, queries: int, size: tuple[int, int] = (8, 8), seed: int = 0) -> Head:
    rng = seeded(seed)
    masks = torch.randn(batch, queries, *size, generator=rng)
    return Head(masks, torch.randn(batch, queries, CLASSES + 1, generator=rng))


def grid_points(height: int, width: int) -> torch.Tensor:
    """(h * w, 2), the centers of all feature locations: the values there are the map itself."""
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def test_crowds_and_empty_masks_are_left_out() -> None:
    ids = np.array([[0, 0], [1, 2]], dtype=np.int32)
    target = Target(np.array([5, 6, 7]), np.array([False, True, False]), ids)
    targets = MaskTargets.of(target)
    assert targets.classes.tolist() == [5, 7]
    assert targets.masks.tolist() == [[[True, True], [False, False]], [[False, False], [False, True]]]
    cropped = MaskTargets(targets.masks[:, :1], targets.classes)
    assert cropped.nonempty().classes.tolist() == [5]
    assert len(MaskTargets.of(Target.of_labels(np.full((2, 2), -1)))) == 0


@pytest.mark.parametrize(
    ("masks", "classes", "message"),
    [
        (torch.zeros(1, 2, 2), torch.zeros(1).long(), r"masks are torch.float32 of shape \(1, 2, 2\); bool"),
        (torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2).long(), r"of shape \(2, 2\); bool \(N, H, W\)"),
        (torch.zeros(2, 2, 2, dtype=torch.bool), torch.zeros(1).long(), r"int64 \(2,\) is needed"),
        (torch.zeros(1, 2, 2, dtype=torch.bool), torch.zeros(1), r"classes are torch.float32"),
    ],
)
def test_targets_of_the_wrong_kind_are_refused(masks: torch.Tensor, classes: torch.Tensor, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        MaskTargets(masks, classes)


def test_maps_are_sampled_between_feature_locations() -> None:
    maps = torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[4.0, 4.0], [4.0, 4.0]]])
    points = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.0, 0.5]])
    # The last lies half a location outside of the outermost centers.
    expected = torch.tensor([[0.0, 1.0, 2.0, 1.5, 0.5], [4.0, 4.0, 4.0, 4.0, 2.0]])
    torch.testing.assert_close(sample_at_points(maps, points), expected)
    torch.testing.assert_close(sample_at_points(maps, points.expand(2, -1, -1)), expected)
    own = torch.stack([points, points.flip(0)])
    torch.testing.assert_close(sample_at_points(maps, own), torch.stack([expected[0], expected[1].flip(0)]))
    assert sample_at_points(maps[:0], points).shape == (0, 5)
    assert sample_at_points(maps[:0], points.expand(0, -1, -1)).shape == (0, 5)


def test_three_quarters_of_the_points_lie_where_the_prediction_is_uncertain() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(64, 64)  # 0 in the middle, so the outline is a vertical line
    masks = torch.stack([ramp, ramp.T])
    points = uncertain_points(masks, 1000, seeded())
    assert points.shape == (2, 1000, 2)
    for axis, own in enumerate(points):
        distance = (own[:, axis] - 0.5).abs()
        # 750 of 3,000 uniform points are the nearest quarter; the 250 others lie anywhere.
        by_border = ((own < 0.5 / 64) | (own > 1 - 0.5 / 64)).any(dim=1)  # where maps fade to 0
        assert 0.11 < distance[:750][~by_border[:750]].max() < 0.14
        assert by_border[:750].float().mean() < 0.2
        assert distance[750:].max() > 0.45
        assert own.min() >= 0
        assert own.max() <= 1


def test_the_seed_alone_decides_the_points() -> None:
    masks = torch.randn(3, 8, 8, generator=seeded())
    assert torch.equal(uncertain_points(masks, 50, seeded(1)), uncertain_points(masks, 50, seeded(1)))
    assert not torch.equal(uncertain_points(masks, 50, seeded(1)), uncertain_points(masks, 50, seeded(2)))


@pytest.mark.parametrize(("queries", "count"), [(4, 4), (5, 2), (2, 4), (3, 1)])
def test_no_permutation_is_cheaper_than_the_hungarian_matcher(queries: int, count: int) -> None:
    for seed in range(5):
        proposals, targets = random_proposals(1, queries, seed=seed), random_targets(count, seed=seed + 100)
        costs = MatchingCosts(num_points=200)
        args = (proposals.mask_logits[0], proposals.class_logits[0], targets)
        predicted, matched = match_by_cost(*args, seeded(seed), costs)
        cost = matching_cost(*args, seeded(seed), costs)
        assert len(predicted) == len(matched) == min(queries, count)
        assert matched.tolist() == sorted(set(matched.tolist()))
        assert len(set(predicted.tolist())) == len(predicted)
        if queries >= count:
            options = (cost[list(p), range(count)].sum() for p in permutations(range(queries), count))
        else:
            options = (cost[range(queries), list(p)].sum() for p in permutations(range(count), queries))
        torch.testing.assert_close(cost[predicted, matched].sum(), min(options))


def test_the_cost_of_every_pair_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "maskadapter.training.generator.hungarian_matching.uniform_points", lambda *_: grid_points(8, 8)
    )
    proposals, targets = random_proposals(1, 3), random_targets(2)
    cost = matching_cost(proposals.mask_logits[0], proposals.class_logits[0], targets, seeded(), MatchingCosts())
    for i in range(3):
        for j in range(2):
            logits, ground_truth = proposals.mask_logits[0, i], targets.masks[j].float()
            probability = proposals.class_logits[0, i].softmax(-1)[targets.classes[j]]
            entropy = F.binary_cross_entropy_with_logits(logits, ground_truth)
            dice = 1 - (2 * (logits.sigmoid() * ground_truth).sum() + 1) / (
                logits.sigmoid().sum() + ground_truth.sum() + 1
            )
            torch.testing.assert_close(cost[i, j], -2 * probability + 5 * entropy + 5 * dice)


def test_masks_alone_decide_without_classes() -> None:
    targets = random_targets(3)
    logits = torch.where(targets.masks, 4.0, -4.0)[[2, 0, 1]]
    predicted, matched = match_by_cost(logits, None, targets, seeded())
    assert matched.tolist() == [0, 1, 2]
    assert predicted.tolist() == [1, 2, 0]


def test_nothing_to_match() -> None:
    proposals = random_proposals(1, 3)
    predicted, matched = match_by_cost(proposals.mask_logits[0], proposals.class_logits[0], random_targets(0), seeded())
    assert len(predicted) == len(matched) == 0
    assert predicted.dtype == matched.dtype == torch.int64


def test_a_diverged_network_fails_in_its_loss_and_not_in_the_assignment() -> None:
    broken = Head(torch.full((1, 3, 8, 8), torch.nan), torch.full((1, 3, CLASSES + 1), torch.nan))
    losses = MaskGeneratorLoss(num_points=20)([broken], [random_targets(2)], seeded(), 1)
    assert all(loss.isnan() for loss in losses.values())


def dense_losses(proposals: Head, targets: list[MaskTargets], num_masks: float) -> dict[str, torch.Tensor]:
    """The losses over all pixels, one mask after the other."""
    entropy, dice = torch.zeros(()), torch.zeros(())
    log_probs, weights = [], []
    for masks, classes, own in zip(proposals.mask_logits, proposals.class_logits, targets, strict=True):
        matches = dict(zip(*(x.tolist() for x in match_by_cost(masks, classes, own, seeded(7))), strict=True))
        for query in range(len(masks)):
            label = int(own.classes[matches[query]]) if query in matches else CLASSES
            weights.append(1.0 if query in matches else 0.1)
            log_probs.append(classes[query].log_softmax(-1)[label])
        for query, index in matches.items():
            logits, ground_truth = masks[query], own.masks[index].float()
            entropy = entropy + F.binary_cross_entropy_with_logits(logits, ground_truth)
            both = (logits.sigmoid() * ground_truth).sum()
            dice = dice + 1 - (2 * both + 1) / (logits.sigmoid().sum() + ground_truth.sum() + 1)
    weight = torch.tensor(weights)
    return {
        "class": 2 * -(torch.stack(log_probs) * weight).sum() / weight.sum(),
        "mask": 5 * entropy / num_masks,
        "dice": 5 * dice / num_masks,
    }


@pytest.fixture
def _every_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare at the centers of an 8 x 8 grid, each once."""
    monkeypatch.setattr(
        "maskadapter.training.generator.hungarian_matching.uniform_points", lambda *_: grid_points(8, 8)
    )
    monkeypatch.setattr(
        generator_loss, "uncertain_points", lambda masks, *_: grid_points(8, 8).expand(len(masks), -1, -1)
    )


@pytest.mark.usefixtures("_every_pixel")
def test_the_losses_are_those_of_all_pixels_where_the_points_cover_them() -> None:
    proposals = random_proposals(3, 6)
    targets = [random_targets(2, seed=1), random_targets(0), random_targets(4, seed=2)]
    losses = MaskGeneratorLoss()([proposals], targets, seeded(), num_masks=6)
    expected = dense_losses(proposals, targets, num_masks=6)
    assert set(losses) == set(expected)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name])


@pytest.mark.usefixtures("_every_pixel")
def test_the_heads_are_summed_each_with_its_own_assignment() -> None:
    heads, targets = [random_proposals(1, 4, seed=s) for s in (1, 2, 3)], [random_targets(3, seed=4)]
    chosen = {
        tuple(match_by_cost(h.mask_logits[0], h.class_logits[0], targets[0], seeded())[0].tolist()) for h in heads
    }
    assert len(chosen) > 1
    losses = MaskGeneratorLoss()(heads, targets, seeded(), num_masks=2)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, sum(dense_losses(head, targets, 2)[name] for head in heads))


def test_points_give_about_the_losses_of_all_pixels() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    masks = torch.stack([x**2 + y**2 < 0.5, x > 0])
    logits = torch.stack([4 * (0.4 - x**2 - y**2), 4 * x])
    targets = [MaskTargets(masks, torch.tensor([0, 1]))]
    proposals = Head(logits[None], torch.zeros(1, 2, CLASSES + 1))
    losses = MaskGeneratorLoss(importance=0.0)([proposals], targets, seeded(), num_masks=2)
    expected = dense_losses(proposals, targets, num_masks=2)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name], rtol=0.05, atol=0.0)


def test_images_without_masks_train_void_alone() -> None:
    proposals = random_proposals(2, 4)
    proposals.mask_logits.requires_grad_(True)
    proposals.class_logits.requires_grad_(True)
    losses = MaskGeneratorLoss(num_points=20)([proposals], [random_targets(0), random_targets(0)], seeded(), 1)
    assert losses["mask"] == losses["dice"] == 0
    void = -proposals.class_logits.log_softmax(-1)[..., -1].mean()
    torch.testing.assert_close(losses["class"], 2 * void)
    sum(losses.values()).backward()
    # Zero and not missing: processes that share a model expect a gradient for every parameter from each of them.
    assert proposals.mask_logits.grad is not None
    assert not proposals.mask_logits.grad.any()
    assert proposals.class_logits.grad.any()


def test_void_counts_a_tenth() -> None:
    class_logits = torch.randn(1, 2, CLASSES + 1, generator=seeded())
    match = (torch.tensor([1]), torch.tensor([0]))
    targets = MaskTargets(torch.ones(1, 2, 2, dtype=torch.bool), torch.tensor([2]))
    log_probs = class_logits[0].log_softmax(-1)
    expected = -(0.1 * log_probs[0, CLASSES] + log_probs[1, 2]) / 1.1
    torch.testing.assert_close(class_loss(class_logits, [targets], [match], 0.1), expected)


def test_the_published_numbers() -> None:
    loss = MaskGeneratorLoss()
    assert (loss.classification, loss.mask, loss.dice, loss.void) == (2, 5, 5, 0.1)
    assert (loss.num_points, loss.oversample, loss.importance) == (12_544, 3, 0.75)
    assert loss.costs == MatchingCosts(2, 5, 5, 12_544)
    assert NUM_POINTS == 112 * 112
    assert uniform_points((NUM_POINTS,), seeded()).shape == (12_544, 2)


STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}


def small_head(dim: int = 32) -> Mask2FormerHead:
    torch.manual_seed(0)
    pixels = PixelDecoder(dict.fromkeys(STRIDES, 5), dim=dim, mask_dim=dim, num_layers=1, num_heads=4)
    masks = MaskDecoder(16, dim=dim, mask_dim=dim, num_queries=8, num_layers=3, num_heads=4, ffn_dim=64)
    generator = Mask2FormerHead(pixels, masks)
    initialize_mask_generator(generator, seeded())
    return generator


def small_images() -> tuple[torch.Tensor, list[MaskTargets]]:
    """Two images (2, 3, 64, 96): a red square and a green disc on blue; a green bar on a red ground."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    square = (x > 8) & (x < 40) & (y > 10) & (y < 44)
    disc = (x - 68) ** 2 + (y - 36) ** 2 < 20**2
    bar = (y > 20) & (y < 40)
    first = torch.stack([square, disc, ~(square | disc)])
    second = torch.stack([bar, ~bar])
    targets = [MaskTargets(first, torch.tensor([0, 1, 2])), MaskTargets(second, torch.tensor([1, 0]))]
    colors = torch.eye(3)
    images = [torch.einsum("nhw,nc->chw", t.masks.float(), colors[t.classes]) for t in targets]
    return torch.stack(images), targets


def pyramid_of(images: torch.Tensor) -> ClipFeatures:
    """Colors and places, averaged over patches: features that a frozen encoder might give."""
    batch, _, height, width = images.shape
    y = torch.linspace(0, 1, height)[:, None].expand(height, width)
    x = torch.linspace(0, 1, width).expand(height, width)
    stacked = torch.cat([images, torch.stack([y, x]).expand(batch, -1, -1, -1)], dim=1)
    pyramid = {name: F.avg_pool2d(stacked, stride) for name, stride in STRIDES.items()}
    return ClipFeatures(pyramid, pyramid["res5"], pyramid["res5"])


def small_text() -> TextClassifier:
    return TextClassifier(F.normalize(torch.randn(CLASSES + 1, 16, generator=seeded(3)), dim=-1), (1,) * CLASSES)


def classified(generator: Mask2FormerHead, features: ClipFeatures, text: TextClassifier) -> list[Head]:
    return [Head(one.mask_logits, generator.class_logits(one, text)) for one in generator.every_head(features)]


def test_every_head_ends_with_what_forward_gives() -> None:
    generator = small_head()
    images, _ = small_images()
    heads = generator.every_head(pyramid_of(images))
    last = generator(ImageBatch(images, ()), pyramid_of(images))
    assert len(heads) == 4
    torch.testing.assert_close(heads[-1].mask_logits, last.mask_logits, rtol=0, atol=0)
    torch.testing.assert_close(heads[-1].class_embeddings, last.class_embeddings, rtol=0, atol=0)
    assert not torch.equal(heads[-2].mask_logits, last.mask_logits)


def test_every_parameter_of_the_generator_gets_a_gradient() -> None:
    generator = small_head()
    # As published, attention starts out equal everywhere: nothing then tells its queries which way to change.
    for attention in generator.modules():
        if isinstance(attention, DeformableAttention):
            torch.nn.init.normal_(attention.attention_weights.weight, std=0.1, generator=seeded(5))
            torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.1, generator=seeded(6))
    images, targets = small_images()
    heads = classified(generator, pyramid_of(images), small_text())
    losses = MaskGeneratorLoss(num_points=500)(heads, targets, seeded(), 1)
    for name in ("class", "mask", "dice"):  # each of them reaches back through the last layer
        last = torch.autograd.grad(losses[name], generator.mask_decoder.layers[-1].linear2.weight, retain_graph=True)
        assert last[0].any(), name
    sum(losses.values()).backward()
    without = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_initial_weights_are_the_published_ones() -> None:
    generator = small_head()
    attention = generator.pixel_decoder.layers[0].self_attn
    query, values = torch.randn(1, 5, 32, generator=seeded()), torch.zeros(1, 5, 32)
    assert not attention.attention_weights(query).any()
    offsets = attention.sampling_offsets(query).view(1, 5, 4, 3, 4, 2)[0, 0]  # heads, levels, points, (x, y)
    for head, direction in enumerate(([1, 0], [0, 1], [-1, 0], [0, -1])):
        for level in range(3):
            expected = torch.tensor(direction) * torch.arange(1.0, 5.0)[:, None]
            torch.testing.assert_close(offsets[head, level], expected, atol=1e-6, rtol=0)
    assert attention.output_proj(values).abs().max() == 0
    bound = (6 / (32 + 64)) ** 0.5  # xavier, 32 channels to 64
    assert 0.9 * bound < generator.mask_decoder.layers[0].linear1.weight.abs().max() <= bound
    again = small_head()
    initialize_mask_generator(again, seeded(1))
    assert not torch.equal(again.pixel_decoder.level_embed, generator.pixel_decoder.level_embed)


def test_a_small_generator_learns_two_images_by_heart() -> None:
    generator, loss = small_head(), MaskGeneratorLoss(num_points=400, costs=MatchingCosts(num_points=400))
    images, targets = small_images()
    features, text = pyramid_of(images), small_text()
    optimizer = torch.optim.AdamW(generator.parameters(), lr=2e-3)
    rng, values = seeded(), []
    for _ in range(150):
        losses = loss(classified(generator, features, text), targets, rng, sum(map(len, targets)))
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimizer.step()
        values.append(float(total.detach()))
    assert np.mean(values[-10:]) < np.mean(values[:3]) / 5

    proposals = classified(generator, features, text)[-1]
    for index, own in enumerate(targets):
        probs = proposals.class_logits[index].softmax(-1)
        for mask, label in zip(own.masks, own.classes, strict=True):
            best = probs[:, label].argmax()
            upsampled = (
                F.interpolate(proposals.mask_logits[index, best][None, None], (64, 96), mode="bilinear")[0, 0] > 0
            )
            assert (upsampled & mask).sum() / (upsampled | mask).sum() > 0.8
