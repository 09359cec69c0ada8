"""Masks without a network: nested regions of superpixels, merged by color."""

from typing import Any

import numpy as np

from maskadapter.io import encode_mask
from maskadapter.models.preprocess import InputSize, resize
from maskadapter.models.proposals.superpixels.regions import Merging

_WORKING_SIZE = InputSize(640, 640)  # of the image that is cut; masks are brought back to the image's own size


class Superpixels:
    """A mask source of nested regions. merging: see ``Merging``."""

    def __init__(self, merging: Merging | None = None) -> None:
        self.merging = merging or Merging()

    def __call__(self, image: np.ndarray) -> list[dict[str, Any]]:
        """Cut an image (H, W, 3) uint8 RGB into nested regions: annotations with run lengths, at the image's size."""
        size = (image.shape[0], image.shape[1])
        found = self.merging.regions(resize(image, _WORKING_SIZE.of(size)))
        rows, columns = (np.arange(n) * side // n for n, side in zip(size, found.pieces.labels.shape, strict=True))
        labels = found.pieces.labels[rows[:, None], columns]
        # One by one: a hundred masks of a large image would take gigabytes.
        return [{"segmentation": encode_mask(members[labels])} for members in found.tree.members[found.nodes]]
