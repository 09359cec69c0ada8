"""The adapter's stages: which masks and pairs they train on, and the upstream quirks. The official settings are
compared with recorded tensors in tests/parity."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.models.config import AdapterConfig, InferenceConfig
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training.adapter.iou_matching import NO_CLASS, mask_iou, match_by_iou, sample_matches, sample_targets
from maskadapter.training.adapter.stages import AdapterStage, classification_loss, consistency_loss
from maskadapter.training.batch import Batch, MaskTargets
from maskadapter.training.optimizer import multi_step, parameter_groups, polynomial
from maskadapter.training.recipe import Masks, TrainingQuirks
from maskadapter.types.encoded_image import ClipFeatures, ImageBatch, Proposals
from maskadapter.vocabulary.vocabulary import Vocabulary

SIZE, DIM = 64, 6


class RandomClip(nn.Module):
    """Features of stride 16 that depend on the image's mean color, and unit vectors for text."""

    embed_dim = DIM

    def __init__(self):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(2.0), requires_grad=False)
        self.register_buffer("pattern", torch.randn(DIM, SIZE // 16, SIZE // 16))

    def encode_image(self, images):
        dense = self.pattern + images.mean(dim=(1, 2, 3))[:, None, None, None]
        return ClipFeatures({}, dense, dense)

    def project(self, features):
        return features


class Squares(nn.Module):
    """Proposals at stride 4: left half, right half, upper half, everything."""

    def forward(self, inputs, features):
        logits = torch.full((len(inputs.pixels), 4, SIZE // 4, SIZE // 4), -5.0)
        logits[:, 0, :, : SIZE // 8] = 5
        logits[:, 1, :, SIZE // 8 :] = 5
        logits[:, 2, : SIZE // 8] = 5
        logits[:, 3] = 5
        return Proposals(logits, torch.zeros(len(logits), 4, DIM))

    def class_logits(self, proposals, text):
        return torch.zeros(len(proposals.mask_logits), 4, 3)


def halves():
    """Left and right half, classes 0 and 1."""
    masks = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    masks[0, :, : SIZE // 2] = True
    masks[1, :, SIZE // 2 :] = True
    return MaskTargets(masks, torch.tensor([0, 1]))


def nothing():
    return MaskTargets(torch.zeros(0, SIZE, SIZE, dtype=torch.bool), torch.zeros(0, dtype=torch.int64))


@pytest.fixture
def segmenter():
    torch.manual_seed(0)
    inference = InferenceConfig(InputSize(SIZE, SIZE), seen_in="coco-panoptic", alpha=0.7, beta=0.9)
    pooler = AdapterPooler(MaskAdapter(DIM, AdapterConfig(hidden_dim=8, num_blocks=1, num_maps=2)))
    made = OpenVocabularySegmenter(RandomClip(), Squares(), pooler, inference)
    made.requires_grad_(False)
    made.pooler.requires_grad_(True)
    return made


def batch(*targets):
    rng = torch.Generator().manual_seed(1)
    rows = torch.nn.functional.normalize(torch.randn(2, DIM, generator=rng), dim=-1)
    vocabulary = EncodedVocabulary(Vocabulary((("a",), ("b",)), (True, True)), rows)
    return Batch(torch.randn(len(targets), 3, SIZE, SIZE, generator=rng), targets, vocabulary)


def rngs(count, seed=0):
    return [torch.Generator().manual_seed(seed + index) for index in range(count)]


def prepared(segmenter, *targets, matcher="iou", iou_threshold=0.7, **quirks):
    settings = Masks(ground_truth=4, predicted=3, matcher=matcher, iou_threshold=iou_threshold)
    stage = AdapterStage(segmenter, settings, TrainingQuirks(**quirks))
    return stage, stage.prepare(batch(*targets), rngs(len(targets)))


def test_the_iou_matcher_keeps_close_predictions_and_draws_among_them():
    iou = torch.tensor([[0.9, 0.0, 0.7], [0.8, 0.1, 0.2], [0.1, 0.69, 0.1]])
    found = {tuple(match_by_iou(iou, 0.7, torch.Generator().manual_seed(seed))[0].tolist()) for seed in range(20)}
    assert found == {(0,), (1,)}  # 0.7 itself is not above 0.7
    _, matched = match_by_iou(iou, 0.65, torch.Generator().manual_seed(0))
    assert matched.tolist() == [0, 1, 2]


def test_no_match_is_an_empty_match():
    predicted, matched = match_by_iou(torch.zeros(3, 2), 0.7, torch.Generator())
    assert len(predicted) == len(matched) == 0
    predicted, matched = match_by_iou(torch.zeros(3, 0), 0.7, torch.Generator())
    assert len(predicted) == 0


def test_matches_beyond_the_slots_are_drawn_without_repetition():
    matches = torch.arange(10), torch.arange(10) + 100
    predicted, matched = sample_matches(matches, 4, torch.Generator().manual_seed(0))
    assert len(set(predicted.tolist())) == 4
    assert torch.equal(predicted + 100, matched)


def test_iou_of_masks_and_of_empty_masks():
    masks = torch.zeros(3, 2, 4, dtype=torch.bool)
    masks[0, :, :2], masks[1, :, 1:3] = True, True
    assert mask_iou(masks[:2], masks[:2]).flatten().tolist() == pytest.approx([1, 2 / 6, 2 / 6, 1], abs=1e-5)
    assert mask_iou(masks[2:], masks[2:]).item() == 0


def test_masks_beyond_the_slots_are_drawn_and_others_keep_their_order():
    masks = torch.ones(6, 2, 2, dtype=torch.bool)
    targets = MaskTargets(masks, torch.arange(6))
    assert sample_targets(targets, 6, torch.Generator()) is targets
    assert len(set(sample_targets(targets, 4, torch.Generator().manual_seed(1)).classes.tolist())) == 4


def test_predictions_are_paired_with_the_ground_truth_that_they_resemble(segmenter):
    stage, ready = prepared(segmenter, halves(), nothing())
    assert ready.labels.tolist() == [[0, 1, 0, 1, NO_CLASS, 0, 1, NO_CLASS], [NO_CLASS] * 8]
    assert ready.pairs.tolist() == [[True, True, False], [False] * 3]
    assert ready.counts().tolist() == [6, 2]
    # The proposals are exact copies here.
    assert torch.equal(ready.masks[0, 2:4], ready.masks[0, 5:7])
    losses = stage(ready, ready.counts())
    assert losses["consistency"].item() == pytest.approx(0, abs=1e-5)
    assert losses["classification"].item() > 0


@pytest.mark.parametrize(("unmatched_slots", "fill", "counted"), [("ignored", 0, 0), ("empty", 0, 3), ("full", 1, 3)])
def test_the_content_of_slots_without_a_pair(segmenter, unmatched_slots, fill, counted):
    stage, ready = prepared(segmenter, nothing(), unmatched_slots=unmatched_slots)
    assert (ready.masks[0, 1:4] == fill).all()
    assert (ready.masks[0, 4:7] == 0).all()
    assert ready.pairs.sum() == counted
    consistency = stage(ready, ready.counts())["consistency"].item()
    assert (consistency > 1e-3) == (unmatched_slots == "full")


def test_the_hungarian_matcher_finds_a_prediction_for_every_ground_truth_mask(segmenter):
    small = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    small[0, :8, :8] = True  # no proposal resembles it
    targets = MaskTargets(small, torch.tensor([1]))
    assert prepared(segmenter, targets)[1].pairs.sum() == 0
    assert prepared(segmenter, targets, matcher="hungarian")[1].pairs.sum() == 1


def gradient(segmenter, stage, ready):
    segmenter.zero_grad()
    stage(ready, ready.counts())["consistency"].backward()
    return segmenter.pooler.adapter.final.weight.grad.clone()


def test_a_detached_ground_truth_embedding_gets_no_gradient(segmenter):
    masks = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    masks[0, :, : SIZE // 2 + 8] = True
    targets = MaskTargets(masks, torch.tensor([0]))
    first = gradient(segmenter, *prepared(segmenter, targets, detach_ground_truth=False, iou_threshold=0.5))
    both = gradient(segmenter, *prepared(segmenter, targets, detach_ground_truth=False, iou_threshold=0.5))
    one = gradient(segmenter, *prepared(segmenter, targets, detach_ground_truth=True, iou_threshold=0.5))
    assert one.abs().max() > 0
    assert torch.equal(first, both)
    assert not torch.allclose(one, both)


def test_soft_mask_edges_blur_masks_unlike_inference(segmenter):
    class Dots(nn.Module):
        def forward(self, inputs, features):
            logits = torch.full((len(inputs.pixels), 1, SIZE // 4, SIZE // 4), -5.0)
            logits[:, :, 4, 4:9] = 5
            return Proposals(logits, None)

    segmenter.generator = Dots()
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    mask[:, 16:20, 16:36] = True
    targets = MaskTargets(mask, torch.tensor([0]))
    _, sharp = prepared(segmenter, targets)
    _, soft = prepared(segmenter, targets, soft_mask_edges=True)
    assert sharp.pairs.sum() == soft.pairs.sum() == 1
    assert not torch.equal(sharp.masks[:, 1], soft.masks[:, 1])
    used = segmenter.generator(ImageBatch(torch.zeros(1, 3, SIZE, SIZE), ()), None).mask_logits.sigmoid() > 0.5
    inference = torch.nn.functional.interpolate(used.float(), (16, 16), mode="bilinear")
    assert torch.equal(sharp.masks[:, 1], inference[:, 0])


def test_a_mean_of_counts_makes_parts_add_up_to_the_whole(segmenter):
    """Two images, 2 masks and 1: a batch of both, against two parts divided by the mean of their counts."""
    one = MaskTargets(halves().masks[:1], torch.tensor([1]))
    whole = batch(halves(), one)
    stage = AdapterStage(segmenter, Masks(ground_truth=4))
    together = stage.prepare(whole, rngs(2))
    parts = [
        stage.prepare(Batch(whole.images[i : i + 1], whole.targets[i : i + 1], whole.vocabulary), rngs(1))
        for i in range(2)
    ]
    mean = torch.stack([part.counts() for part in parts]).mean(dim=0)
    added = sum(stage(part, mean)["classification"] for part in parts) / 2
    assert added.item() == pytest.approx(stage(together, together.counts())["classification"].item(), rel=1e-5)


def test_losses_by_hand():
    logits = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]]])
    labels = torch.tensor([[0, NO_CLASS]])
    by_hand = -torch.log(torch.tensor(2.0).exp() / (torch.tensor(2.0).exp() + 2))
    assert classification_loss(logits, labels).item() == pytest.approx(by_hand.item())
    assert classification_loss(logits, torch.full((1, 2), NO_CLASS)).item() == 0
    a, b = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]), torch.tensor([[[0.0, 3.0], [5.0, 0.0]]])
    assert consistency_loss(a, b, torch.tensor([[True, True]])).item() == pytest.approx(1)
    assert consistency_loss(a, b, torch.tensor([[False, True]])).item() == pytest.approx(0)


def test_weight_decay_spares_the_parameters_of_each_rule(segmenter):
    segmenter.void_embedding.requires_grad_(True)
    named = {id(parameter): name for name, parameter in segmenter.named_parameters()}

    def spared(rule):
        groups = parameter_groups(segmenter, 0.05, rule)
        return {named[id(p)] for group in groups if group["weight_decay"] == 0 for p in group["params"]}

    adapter = "pooler.adapter."
    assert spared("official") == {f"{adapter}norm.weight", f"{adapter}norm.bias", "void_embedding.weight"}
    kept = {name for name, p in segmenter.named_parameters() if p.requires_grad} - spared("matrices")
    assert kept
    assert all(segmenter.get_parameter(name).ndim > 1 and "void" not in name for name in kept)


def test_learning_rates():
    steps = multi_step([10, 20], 0.1, warmup=4, warmup_factor=0.2)
    assert [steps(i) for i in (0, 2, 4, 9, 10, 20)] == pytest.approx([0.2, 0.6, 1, 1, 0.1, 0.01])
    poly = polynomial(100, 0.9)
    assert [poly(i) for i in (0, 50, 99)] == pytest.approx([1, 0.5**0.9, 0.01**0.9])


@pytest.mark.parametrize("unmatched_slots", ["empty", "full", "ignored"])
def test_a_step_is_the_same_with_the_reference_computation(segmenter, unmatched_slots):
    """In double precision: losses and gradients; equal, empty and full masks are among the slots."""
    for block in segmenter.pooler.adapter.blocks:
        nn.init.uniform_(block.gamma, 0.5, 1.0)
    segmenter.double()
    masks, quirks = Masks(ground_truth=4, predicted=3), TrainingQuirks(unmatched_slots=unmatched_slots)
    stage = AdapterStage(segmenter, masks, quirks)
    cut = halves()
    cut.masks[:, :8] = False  # or else predictions would be equal to them
    given = batch(cut, nothing())
    vocabulary = EncodedVocabulary(given.vocabulary.vocabulary, given.vocabulary.text_embeddings.double())
    step = stage.prepare(Batch(given.images.double(), given.targets, vocabulary), rngs(2))
    step = replace(step, masks=step.masks.double())
    found = []
    for pooler in (ReferencePooler(segmenter.pooler), segmenter.pooler):
        segmenter.pooler = pooler
        losses = stage(step, step.counts())
        wanted = list(segmenter.pooler.parameters())
        found.append((losses, torch.autograd.grad(torch.stack(list(losses.values())).sum(), wanted)))
    (losses, gradients), (others, lean) = found
    assert all(loss.item() > 1e-6 for loss in losses.values())
    for one, other in zip([*losses.values(), *gradients], [*others.values(), *lean], strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)
