"""Mask-Adapter as the paper writes it: every mask at every feature location. What the faster ways are compared with."""

from torch import Tensor

from maskadapter.models.poolers.adapter_pooling import AdapterPooler


class ReferencePooler(AdapterPooler):
    """Pool with maps of ``MaskAdapter.forward`` instead of ``SparseAdapter``'s, gradients included.

    pooler: whose adapter is used, and whose chunk of masks at a time.
    """

    def __init__(self, pooler: AdapterPooler) -> None:
        super().__init__(pooler.adapter, chunk=pooler.chunk)

    def activation_maps(self, projected: Tensor, masks: Tensor) -> Tensor:
        """Raw maps (N, M, h, w) of one image: projected features (D, h, w), masks (N, H, W)."""
        return self.in_chunks(lambda part: self.adapter(projected[None], part[None])[0], masks)
