"""The reference of the benchmark: Mask-Adapter computed for every mask at every location."""

from torch import Tensor

from maskadapter.models.poolers.adapter_pooling import AdapterPooler


class DirectPooler(AdapterPooler):
    """Pool with maps of ``MaskAdapter.forward``, as the paper has it, instead of ``SparseAdapter``'s."""

    @classmethod
    def of(cls, pooler: AdapterPooler) -> "DirectPooler":
        """The same adapter, computed directly."""
        return cls(pooler.adapter, chunk=pooler.chunk)

    def activation_maps(self, projected: Tensor, masks: Tensor) -> Tensor:
        """Raw maps (N, M, h, w) of one image: projected features (D, h, w), masks (N, H, W)."""
        return self.in_chunks(lambda part: self.adapter(projected[None], part[None])[0], masks)
