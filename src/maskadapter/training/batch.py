"""What a training stage is given: images, their ground-truth masks and the classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from maskadapter.errors import MaskError
from maskadapter.models import EncodedVocabulary
from maskadapter.types import Target

Rngs = Sequence[torch.Generator]
"""A random number generator for each image of a batch, on the CPU; several may be the same."""

Matches = tuple[Tensor, Tensor]
"""(m,) int64 indices of predicted masks and, one for one, of the ground-truth masks that they are matched with."""


@dataclass(frozen=True, eq=False)
class MaskTargets:
    """The ground-truth masks of one image and their classes.

    masks: (N, H, W) bool, at the size of the padded input; may overlap. classes: (N,) int64, indices into the training
    vocabulary. Raises MaskError where the shapes do not fit together.
    """

    masks: Tensor
    classes: Tensor

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != torch.bool:
            got = f"{self.masks.dtype} of shape {tuple(self.masks.shape)}"
            raise MaskError(f"masks are {got}; bool (N, H, W) is needed")
        if self.classes.shape != self.masks.shape[:1] or self.classes.dtype != torch.int64:
            got = f"{self.classes.dtype} of shape {tuple(self.classes.shape)}"
            raise MaskError(f"classes are {got}; int64 ({len(self.masks)},) is needed, one for each mask")

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
        return replace(self, masks=self.masks.to(device), classes=self.classes.to(device))


@dataclass(frozen=True, eq=False)
class Batch:
    """Images with their ground-truth masks.

    images: (B, 3, H, W), normalized and padded. targets: B, at the same size, without empty masks. vocabulary: the
    classes that the targets index. raw_images: B arrays (h, w, 3) uint8, which superpixel proposals need.
    """

    images: Tensor
    targets: Sequence[MaskTargets]
    vocabulary: EncodedVocabulary
    raw_images: Sequence[np.ndarray] = ()
