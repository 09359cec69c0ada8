"""Classification accuracy of masks, attribute by attribute, and where the activation maps lie."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from clip import SmallClip
from poolers import RING, grown, untrained_weights
from proposals import imprecise
from torch import Tensor
from train_clip import retrieval
from world import ATTRIBUTES, render, single_scenes, test_scenes

from maskadapter.data.scenes.scenes import Scenes
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import area_weights, weighted_sum
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training.adapter.iou_matching import in_slots
from maskadapter.types.encoded_image import ClipFeatures

Scores = dict[str, float]
"""Accuracies, 0 to 1: of whole class names, of seen and unseen ones apart, of each attribute."""

PART = 20  # images at a time


def scores(embedded: Tensor, classes: Tensor, scenes: Scenes, text: Tensor) -> Scores:
    """Accuracies of n embeddings. embedded: (n, D). classes: (n,), ground truth. text: (K, D), of all classes."""
    predicted = (F.normalize(embedded, dim=-1) @ text.T).argmax(dim=1)
    seen = torch.tensor(scenes.seen)[classes]
    right = (predicted == classes).float()
    found = {"all": right.mean(), "seen": right[seen].mean(), "unseen": right[~seen].mean()}
    for place, attribute in enumerate(ATTRIBUTES):
        words = [names[place] for names in scenes.compositions]
        number = torch.tensor([sorted(set(words)).index(word) for word in words])
        agrees = (number[predicted] == number[classes]).float()
        found |= {attribute: agrees.mean(), f"{attribute} unseen": agrees[~seen].mean()}
    return {name: float(value) for name, value in found.items()}


@torch.no_grad()
def image_level(clip: SmallClip, count: int) -> Mapping[str, object]:
    """CLIP's accuracy without masks: caption retrieval, and classification of images of one thing."""
    scenes = single_scenes()
    text = clip.encode_text(scenes.vocabulary.names)
    embedded, classes = [], []
    for start in range(0, count, PART):
        images, targets = render(scenes, range(start, start + PART))
        embedded.append(clip.encode_whole(images))
        classes += [int(target.classes[0]) for target in targets]
    single = scores(torch.cat(embedded), torch.tensor(classes), scenes, text)
    return {"retrieval@1 of 500": retrieval(clip), "one thing an image": single}


@torch.no_grad()
def mask_level(clip: SmallClip, models: Mapping[str, OpenVocabularySegmenter], count: int) -> Mapping[str, object]:
    """Accuracy on masks, and statistics of the maps, of every pooler.

    Every pooler classifies the ground-truth masks of ``count`` images. The trained ones classify imprecise masks too,
    and ground-truth masks with maps made for another image's features.
    """
    scenes = test_scenes()
    text = clip.encode_text(scenes.vocabulary.names)
    embedded: dict[str, list[Tensor]] = {}
    facts: dict[str, list[Tensor]] = {}
    labels = []
    for start in range(0, count, PART):
        images, targets = render(scenes, range(start, start + PART))
        features = clip.encode_image(images)
        masks = [torch.from_numpy(target.masks()).float() for target in targets]
        most = max(map(len, masks))
        classes = in_slots([torch.from_numpy(target.classes) for target in targets], most, -1)
        real = classes >= 0
        labels.append(classes[real])
        exact = in_slots(masks, most, 0.0)
        # Each batch has its own random numbers, whatever else is measured.
        rng = torch.Generator().manual_seed(start)
        rough = (in_slots([imprecise(part, rng) for part in masks], most, fill=-9.0) > 0).float()

        size = (features.dense.shape[-2], features.dense.shape[-1])
        ways = {
            name: clip.project(weighted_sum(features.dense, w)) for name, w in untrained_weights(exact, size).items()
        }
        ways["mask pooling, imprecise masks"] = clip.project(
            weighted_sum(features.dense, area_weights(rough - 0.5, size))
        )
        for name, model in models.items():
            pooler: AdapterPooler = model.pooler  # type: ignore
            ways[name] = pooler.embed(features, exact, clip.project)
            ways[f"{name}, imprecise masks"] = pooler.embed(features, rough, clip.project)
            if isinstance(pooler.adapter, MaskAdapter):
                weights = pooler.weights(features, exact - 0.5)
                others = ClipFeatures({}, features.dense, features.projected.roll(1, dims=0))
                swapped = pooler.weights(others, exact - 0.5)
                pooled = torch.einsum("bnmhw,bchw->bnmc", swapped, features.dense)
                ways[f"{name}, maps of another image"] = clip.project(pooled).mean(dim=2)
                for fact, value in _where(weights, exact).items():
                    facts.setdefault(f"{name}: {fact}", []).append(value[real])
        for name, vectors in ways.items():
            embedded.setdefault(name, []).append(vectors[real])
    ground_truth = torch.cat(labels)
    return {
        "masks": len(ground_truth),
        "names": {name: scores(torch.cat(parts), ground_truth, scenes, text) for name, parts in embedded.items()},
        "maps": {name: float(torch.cat(parts).mean()) for name, parts in facts.items()},
    }


def _where(weights: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Shares of the maps' mass, (B, N) each. weights: (B, N, M, h, w). masks: (B, N, H, W), 0 or 1."""
    size = weights.shape[-2:]
    mass = weights.mean(dim=2)
    inside = F.adaptive_avg_pool2d(masks, size)
    around = F.adaptive_avg_pool2d(grown(masks, RING) - masks, size)
    things = F.adaptive_avg_pool2d(masks.amax(dim=1, keepdim=True), size)
    return {
        "inside the mask": (mass * inside).sum(dim=(-2, -1)),
        "within a cell of it": (mass * around).sum(dim=(-2, -1)),
        "on other things": (mass * (things - inside).clamp(min=0)).sum(dim=(-2, -1)),
        "effective cells": 1 / (mass**2).sum(dim=(-2, -1)),
    }
