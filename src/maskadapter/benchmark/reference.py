"""Mask-Adapter as the paper writes it: every mask at every feature location. What the faster ways are compared with."""

import torch
from torch import Tensor

from maskadapter.models import pooling_weights
from maskadapter.models.poolers import AdapterPooler, Project
from maskadapter.types import ClipFeatures


class ReferencePooler(AdapterPooler):
    """Compute the embeddings of an ``AdapterPooler`` without any of its shortcuts, gradients included.

    CLIP's features are pooled with each of the adapter's M maps, each result is projected, and the M are averaged.
    pooler: whose adapter is used. chunk: masks that go through the adapter at a time; None for as many as the pooler
    takes. It bounds the memory and does not change the result.
    Source: paper, section 3.2, equation 4; the projection before the mean is the official code's.
    """

    def __init__(self, pooler: AdapterPooler, chunk: int | None = None) -> None:
        super().__init__(pooler.adapter, chunk=chunk or pooler.chunk)

    def embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        """Masks (B, N, H, W), bool or 0 to 1 -> embeddings (B, N, D), not normalized."""

        def of_image(projected: Tensor, dense: Tensor, masks: Tensor) -> Tensor:
            def of_masks(part: Tensor) -> Tensor:
                weights = pooling_weights(self.at_every_location(projected, part))
                return project(weights @ dense.flatten(1).T).mean(dim=1)

            return self.in_chunks(of_masks, masks)

        return torch.stack(list(map(of_image, features.projected, features.dense, masks)))
