"""Count how often a name is right, attribute by attribute, and where the maps lie."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from clip import SmallClip
from embeddings import RING, grown, untrained_weights
from proposals import imprecise
from torch import Tensor
from train_clip import retrieval
from world import ATTRIBUTES, render, single_scenes, test_scenes

from maskadapter.data.scenes.scenes import Scenes
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import area_weights, weighted_sum
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training.adapter.mask_slots import in_slots, labels_in_slots
from maskadapter.types.clip_features import ClipFeatures

Scores = dict[str, float]
"""Shares from 0 to 1: of whole names among all, of seen and unseen names apart, of each attribute."""

PART = 20  # images at a time


def scores(embedded: Tensor, classes: Tensor, scenes: Scenes, text: Tensor) -> Scores:
    """embedded (n, D), classes (n,) true names, text (K, D) of all names, seen and unseen."""
    named = (F.normalize(embedded, dim=-1) @ text.T).argmax(dim=1)
    seen = torch.tensor(scenes.seen)[classes]
    right = (named == classes).float()
    found = {"all": right.mean(), "seen": right[seen].mean(), "unseen": right[~seen].mean()}
    for place, attribute in enumerate(ATTRIBUTES):
        words = [names[place] for names in scenes.compositions]
        number = torch.tensor([sorted(set(words)).index(word) for word in words])
        agrees = (number[named] == number[classes]).float()
        found |= {attribute: agrees.mean(), f"{attribute} unseen": agrees[~seen].mean()}
    return {name: float(value) for name, value in found.items()}


@torch.no_grad()
def image_level(clip: SmallClip, count: int) -> Mapping[str, object]:
    """What CLIP knows before any mask: captions found, and names of images of one thing."""
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
    """Names of masks, and facts about maps, by way of embedding.

    Every way names the ground-truth masks of ``count`` images; the trained ones imprecise masks too, and the true ones with
    maps made for another image's features.
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
        classes = labels_in_slots([torch.from_numpy(target.classes) for target in targets], most)
        real = classes >= 0
        labels.append(classes[real])
        true = in_slots(masks, most)
        # Each mask's own draws, whatever else is measured.
        random = torch.Generator().manual_seed(start)
        rough = (in_slots([imprecise(part, random) for part in masks], most, fill=-9.0) > 0).float()

        cells = (features.dense.shape[-2], features.dense.shape[-1])
        ways = {
            name: clip.project(weighted_sum(features.dense, w)) for name, w in untrained_weights(true, cells).items()
        }
        ways["mask pooling, imprecise masks"] = clip.project(
            weighted_sum(features.dense, area_weights(rough - 0.5, cells))
        )
        for name, model in models.items():
            pooler: AdapterPooler = model.pooler  # type: ignore
            ways[name] = pooler.embed(features, true, clip.project)
            ways[f"{name}, imprecise masks"] = pooler.embed(features, rough, clip.project)
            if isinstance(pooler.adapter, MaskAdapter):
                weights = pooler.weights(features, true - 0.5)
                others = ClipFeatures({}, features.dense, features.projected.roll(1, dims=0))
                swapped = pooler.weights(others, true - 0.5)
                pooled = torch.einsum("bnmhw,bchw->bnmc", swapped, features.dense)
                ways[f"{name}, maps of another image"] = clip.project(pooled).mean(dim=2)
                for fact, value in _where(weights, true, classes).items():
                    facts.setdefault(f"{name}: {fact}", []).append(value[real])
        for name, vectors in ways.items():
            embedded.setdefault(name, []).append(vectors[real])
    true_classes = torch.cat(labels)
    return {
        "masks": len(true_classes),
        "names": {name: scores(torch.cat(parts), true_classes, scenes, text) for name, parts in embedded.items()},
        "maps": {name: float(torch.cat(parts).mean()) for name, parts in facts.items()},
    }


def _where(weights: Tensor, masks: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """(B, N) each: shares of the maps' mass. weights (B, N, M, h, w)."""
    cells = weights.shape[-2:]
    mass = weights.mean(dim=2)
    inside = F.adaptive_avg_pool2d(masks, cells)
    around = F.adaptive_avg_pool2d(grown(masks, RING) - masks, cells)
    things = F.adaptive_avg_pool2d(masks.amax(dim=1, keepdim=True), cells)
    return {
        "inside the mask": (mass * inside).sum(dim=(-2, -1)),
        "within a cell of it": (mass * around).sum(dim=(-2, -1)),
        "on other things": (mass * (things - inside).clamp(min=0)).sum(dim=(-2, -1)),
        "effective cells": 1 / (mass**2).sum(dim=(-2, -1)),
    }
