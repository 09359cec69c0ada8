"""Compare mask pooling and Mask-Adapter on the same CLIP features of the same model."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import DEFAULT, ModelSource, assemble, check_device, identified, is_bare
from maskadapter.models import OpenVocabularySegmenter, build
from maskadapter.models.poolers import Pooler
from maskadapter.models.sources import at_stride_4
from maskadapter.results import ActivationMaps
from maskadapter.types import ClipFeatures, ImageSizes

POOLING, ADAPTER = "mask pooling", "Mask-Adapter"


@dataclass(frozen=True)
class PoolerComparison:
    """A model with its adapter, and by name two poolers for it: the mask pooling of the same model, and its adapter."""

    segmenter: OpenVocabularySegmenter
    poolers: dict[str, Pooler]

    @classmethod
    def load(cls, model: ModelSource, device: str = "cpu") -> "PoolerComparison":
        """Load a model with its adapter. Raises as ``hub.load``, and MaskAdapterError for a CLIP without an adapter."""
        check_device(device)
        if is_bare(model.name):
            problem = f"{model.name} is a CLIP alone, without an adapter"
            raise MaskAdapterError(f"{problem}: give a model that has one, such as {DEFAULT}")
        checkpoint, architecture = identified(replace(model, pooler="adapter"))
        segmenter = assemble(checkpoint, architecture, device)
        with torch.device("meta"):  # mask pooling has no weights
            pooling = build(replace(architecture, pooler="pooling")).pooler
        return cls(segmenter, {POOLING: pooling, ADAPTER: segmenter.pooler})

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
