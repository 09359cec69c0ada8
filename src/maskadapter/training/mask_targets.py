"""The ground-truth masks of one image and their classes, as tensors for the losses."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskadapter.errors import MaskError
from maskadapter.types import Target


@dataclass(frozen=True, eq=False)
class MaskTargets:
    """The ground-truth masks of one image and their classes.

    masks: (N, H, W) bool, at the size of the padded input; they may overlap, and N may be 0.
    classes: (N,) int64, indices into the training vocabulary.

    Raises MaskError where the shapes do not fit together.
    """

    masks: Tensor
    classes: Tensor

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != torch.bool:
            raise MaskError(
                f"masks are {self.masks.dtype} of shape {tuple(self.masks.shape)}; bool (N, H, W) is needed"
            )
        if self.classes.shape != self.masks.shape[:1] or self.classes.dtype != torch.int64:
            raise MaskError(
                f"classes are {self.classes.dtype} of shape {tuple(self.classes.shape)}; "
                f"int64 ({len(self.masks)},) is needed, one for each mask"
            )

    @classmethod
    def of(cls, target: Target) -> "MaskTargets":
        """The segments of an image at its own size, without crowds: a crowd is many things in one mask."""
        kept = ~target.is_crowd
        return cls(torch.from_numpy(target.masks()[kept]), torch.from_numpy(target.classes[kept]))

    def __len__(self) -> int:
        return len(self.classes)

    def nonempty(self) -> "MaskTargets":
        """The masks that have a pixel: a crop may leave nothing of a segment."""
        return self[self.masks.flatten(1).any(dim=1)]

    def __getitem__(self, chosen: Tensor) -> "MaskTargets":
        """Some of the masks. chosen: (N,) bool, or int64 indices, which also give the order."""
        return replace(self, masks=self.masks[chosen], classes=self.classes[chosen])

    def to(self, device: torch.device | str) -> "MaskTargets":
        """The same on another device."""
        return replace(self, masks=self.masks.to(device), classes=self.classes.to(device))
