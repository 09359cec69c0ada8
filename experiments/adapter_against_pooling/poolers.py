"""The poolers that are compared: from a mask to an embedding, with and without training."""

import torch
import torch.nn.functional as F
from clip import SmallClip
from torch import Tensor, nn

from maskadapter.models.config import AdapterConfig, InferenceConfig
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import Project, area_weights, weighted_sum
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.types.encoded_image import ClipFeatures

TRAINED = ("mask-adapter", "blind adapter", "one map", "residual MLP")
RING = 8  # pixels, one feature location
GROWN = {"half a cell": RING // 2, "a cell": RING, "two cells": 2 * RING}  # pixels


class ResidualMlp(AdapterPooler):
    """A control that changes *what* is pooled and not *where*: pooled features plus an MLP of them."""

    def __init__(self, channels: int) -> None:
        # The stage trains the pooler's ``adapter``, whatever it is.
        super().__init__(nn.Sequential(nn.Linear(channels, 512), nn.GELU(), nn.Linear(512, channels)))  # type: ignore

    def embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        size = (features.dense.shape[-2], features.dense.shape[-1])
        pooled = weighted_sum(features.dense, area_weights(masks - 0.5, size))
        return project(pooled + self.adapter(pooled))


def segmenter(kind: str, clip: SmallClip, seed: int) -> OpenVocabularySegmenter:
    """The package's segmenter without a mask generator: CLIP frozen, and one of ``TRAINED`` as pooler."""
    torch.manual_seed(seed)
    channels = clip.head.in_features
    if kind == "residual MLP":
        pooler: AdapterPooler = ResidualMlp(channels)
    else:
        maps = 1 if kind == "one map" else 16
        pooler = AdapterPooler(
            MaskAdapter(
                clip.embed_dim, AdapterConfig(hidden_dim=64, num_maps=maps, use_features=kind != "blind adapter")
            )
        )
    whole = OpenVocabularySegmenter(clip, None, pooler, InferenceConfig(InputSize(128, 128), "scenes", 1.0, 1.0))  # type: ignore
    whole.void_embedding.requires_grad_(False)
    return whole


def untrained_weights(masks: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Pooling weights (B, N, h, w) of every pooling without training. masks: (B, N, H, W), 0 or 1. size: (h, w)."""
    shrunk = 1 - grown(1 - masks, RING)
    parts = {
        "mask pooling": masks,
        "pooling, mask shrunk by a cell": shrunk,
        **{f"pooling, mask grown by {name}": grown(masks, by) for name, by in GROWN.items()},
        "pooling, ring around the mask": grown(masks, RING) - masks,
        "whole image": torch.ones_like(masks),
    }
    return {name: area_weights(part - 0.5, size) for name, part in parts.items()}


def grown(masks: Tensor, by: int) -> Tensor:
    """Dilate masks (B, N, H, W) by ``by`` pixels in both directions."""
    rows = F.max_pool2d(masks, (2 * by + 1, 1), stride=1, padding=(by, 0))
    return F.max_pool2d(rows, (1, 2 * by + 1), stride=1, padding=(0, by))
