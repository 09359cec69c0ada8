"""Mask pooling and Mask-Adapter on the features of one CLIP, side by side."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskadapter.errors import MaskAdapterError
from maskadapter.hub.assembling import assemble
from maskadapter.hub.bare_clip import is_bare
from maskadapter.hub.loading import check_device, identified
from maskadapter.hub.model_source import DEFAULT, ModelSource
from maskadapter.models.build import build
from maskadapter.models.poolers.pooler import Pooler
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.models.sources.given_masks import at_stride_4
from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_sizes import ImageSizes

POOLING, ADAPTER = "mask pooling", "Mask-Adapter"


@dataclass(frozen=True)
class BothWays:
    """segmenter: a model with its adapter. ways: mask pooling as the same model is published with, and that adapter."""

    segmenter: OpenVocabularySegmenter
    ways: dict[str, Pooler]

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        adapter: str | Path | None = None,
        architecture: str | None = None,
        device: str = "cpu",
    ) -> "BothWays":
        """Arguments and errors as those of ``hub.load``; a model without an adapter is refused."""
        check_device(device)
        name = DEFAULT if model is None else model
        if is_bare(name):
            raise MaskAdapterError(
                f"{name} is a CLIP alone, without an adapter: give a model that has one, such as {DEFAULT}"
            )
        checkpoint, found = identified(ModelSource(name, "adapter", adapter, architecture))
        segmenter = assemble(checkpoint, found, device)
        with torch.device("meta"):  # for its way of pooling, which has no weights
            pooling = build(replace(found, pooler="pooling")).pooler
        return cls(segmenter, {POOLING: pooling, ADAPTER: segmenter.pooler})

    @torch.inference_mode()
    def maps(self, image: np.ndarray, masks: np.ndarray) -> dict[str, ActivationMaps]:
        """Image (H, W, 3) uint8 and masks (N, H, W) bool -> where each way pools."""
        _, features, logits, sizes = self._encoded(image, masks)
        return {
            name: ActivationMaps(way.weights(features, logits)[0].float().cpu().numpy(), sizes)
            for name, way in self.ways.items()
        }

    @torch.inference_mode()
    def embeddings(self, image: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        """The masks' embeddings, (N, D) float32 of length 1, as they are compared with text."""
        images, features, logits, _ = self._encoded(image, masks)
        project = self.segmenter.clip.project
        return {
            name: F.normalize(way(images, features, logits, project)[0], dim=-1).float().cpu().numpy()
            for name, way in self.ways.items()
        }

    def _encoded(self, image: np.ndarray, masks: np.ndarray) -> tuple[Tensor, ClipFeatures, Tensor, ImageSizes]:
        inputs, sizes = self.segmenter.prepare(image)
        images = inputs.pixels
        logits = at_stride_4(torch.from_numpy(masks), sizes).to(images)
        return images, self.segmenter.clip.encode_image(images), logits[None], sizes
