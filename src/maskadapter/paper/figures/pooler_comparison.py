"""Compare mask pooling and adapters on the same CLIP features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import (
    DEFAULT,
    ModelSource,
    assemble,
    check_device,
    identified,
    is_bare,
    refuse_another_clip,
)
from maskadapter.models import OpenVocabularySegmenter, build
from maskadapter.models.poolers import Pooler
from maskadapter.models.sources import at_stride_4
from maskadapter.results import ActivationMaps
from maskadapter.types import ClipFeatures, ImageSizes

POOLING, ADAPTER = "mask pooling", "Mask-Adapter"
"""Titles of the two, where there is one adapter."""


@dataclass(frozen=True)
class PoolerComparison:
    """A model, and by title poolers for its CLIP: the mask pooling of the model, its adapter, and those of others."""

    segmenter: OpenVocabularySegmenter
    poolers: dict[str, Pooler]

    @classmethod
    def load(cls, models: Mapping[str, ModelSource], device: str = "cpu") -> "PoolerComparison":
        """Load the first of the models, and of all the adapters, by their titles.

        Raises as ``hub.load``, and MaskAdapterError for a CLIP without an adapter, and where the CLIPs differ.
        """
        check_device(device)
        found = {}
        for title, model in models.items():
            if is_bare(model.name):
                problem = f"{model.name} is a CLIP alone, without an adapter"
                raise MaskAdapterError(f"{problem}: give a model that has one, such as {DEFAULT}")
            found[title] = identified(replace(model, pooler="adapter"))
        (first, architecture), *others = found.values()
        for checkpoint, _ in others:
            refuse_another_clip(first, checkpoint)
        segmenter = assemble(first, architecture, device)
        with torch.device("meta"):  # mask pooling has no weights
            pooling = build(replace(architecture, pooler="pooling")).pooler
        adapters = [segmenter.pooler, *(assemble(*other, device).pooler for other in others)]
        return cls(segmenter, {POOLING: pooling, **dict(zip(found, adapters, strict=True))})

    @torch.inference_mode()
    def maps(self, image: np.ndarray, masks: np.ndarray) -> dict[str, ActivationMaps]:
        """Compute where each pooler pools. image: (H, W, 3) uint8. masks: (N, H, W) bool."""
        _, features, logits, sizes = self._encoded(image, masks)
        return {
            name: ActivationMaps(pooler.weights(features, logits)[0].float().cpu().numpy(), sizes)
            for name, pooler in self.poolers.items()
        }

    @torch.inference_mode()
    def embeddings(self, image: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        """Compute each pooler's embeddings of the masks, (N, D) float32, normalized as they are compared with text."""
        pixels, features, logits, _ = self._encoded(image, masks)
        project = self.segmenter.clip.project
        return {
            name: F.normalize(pooler(pixels, features, logits, project)[0], dim=-1).float().cpu().numpy()
            for name, pooler in self.poolers.items()
        }

    def _encoded(self, image: np.ndarray, masks: np.ndarray) -> tuple[Tensor, ClipFeatures, Tensor, ImageSizes]:
        batch, sizes = self.segmenter.prepare(image)
        logits = at_stride_4(torch.from_numpy(masks), sizes).to(batch.pixels)
        return batch.pixels, self.segmenter.clip.encode_image(batch.pixels), logits[None], sizes
