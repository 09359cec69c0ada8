"""What a training stage is given: images, their ground-truth masks and the classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskadapter.models import EncodedVocabulary
from maskadapter.training.mask_targets import MaskTargets

Rngs = Sequence[torch.Generator]
"""A random number generator for each image of a batch, on the CPU; several may be the same."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Images with their ground-truth masks.

    images: (B, 3, H, W), normalized and padded. targets: B, at the same size, without empty masks. vocabulary: the
    classes that the targets index, with their text embeddings. raw_images: B arrays (h, w, 3) uint8, before
    normalization and padding; only proposal heads that work on superpixels need them.
    """

    images: Tensor
    targets: Sequence[MaskTargets]
    vocabulary: EncodedVocabulary
    raw_images: Sequence[np.ndarray] = ()
