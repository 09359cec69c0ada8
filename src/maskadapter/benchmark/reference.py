"""Mask-Adapter as the paper writes it: every mask at every feature location. What the faster ways are compared with."""

import torch
from torch import Tensor

from maskadapter.models import MaskAdapter, pooling_weights
from maskadapter.models.poolers import AdapterPooler, Project
from maskadapter.types import ClipFeatures


class ReferencePooler(AdapterPooler):
    """Compute the embeddings of an ``AdapterPooler`` without any of its shortcuts, gradients included.

    pooler: whose adapter is used. chunk: masks that go through the adapter at a time; None for as many as the pooler
    takes. It bounds the memory and does not change the result.
    """

    def __init__(self, pooler: AdapterPooler, chunk: int | None = None) -> None:
        super().__init__(pooler.adapter, chunk=chunk or pooler.chunk)

    def embed(self, features: ClipFeatures, masks: Tensor, project: Project) -> Tensor:
        """Masks (B, N, H, W), bool or 0 to 1 -> embeddings (B, N, D), not normalized."""

        def of_image(projected: Tensor, dense: Tensor, masks: Tensor) -> Tensor:
            return self.in_chunks(
                lambda part: reference_embeddings(self.adapter, projected, dense, part, project), masks
            )

        return torch.stack(list(map(of_image, features.projected, features.dense, masks)))


def reference_embeddings(
    adapter: MaskAdapter, projected: Tensor, dense: Tensor, masks: Tensor, project: Project
) -> Tensor:
    """Pool CLIP's features of one image with each of the adapter's M maps, project each result, average the M.

    projected: (D, h, w), the adapter's input. dense: (C, h, w), what is pooled. masks: (N, H, W), bool or 0 to 1.
    project: CLIP's projection, (..., C) -> (..., D). Returns (N, D), not normalized.
    Source: paper, section 3.2, equation 4; the projection before the mean is the official code's.
    """
    pooled = pooling_weights(adapter(projected[None], masks[None])[0]) @ dense.flatten(1).T
    return project(pooled).mean(dim=1)
