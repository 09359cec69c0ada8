"""Draw segments from a data set to time the adapter on: masks that differ and are not empty."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.data import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.types import ImageSizes


def draw_segments(root: Path, count: int, sizes: ImageSizes, seed: int = 0) -> Tensor:
    """Draw ``count`` different segments from the validation images of COCO panoptic, (count, h, w) bool at stride 4.

    sizes: of the image to which segments are resized. Raises MaskAdapterError when the folder holds fewer segments.
    """
    size = sizes.resized[0] // 4, sizes.resized[1] // 4
    bottom, right = (full // 4 - side for full, side in zip(sizes.padded, size, strict=True))
    dataset = open_dataset("coco-panoptic", root, split="val")
    masks = (torch.from_numpy(dataset[index].target.masks()) for index in range(len(dataset)))
    found = [F.interpolate(part[None].float(), size, mode="area")[0] > 0.5 for part in masks if len(part)]
    segments = torch.cat([torch.zeros(0, *size, dtype=torch.bool), *found]).unique(dim=0)
    segments = segments[segments.flatten(1).any(dim=1)]
    if len(segments) < count:
        raise MaskAdapterError(f"{root} holds {len(segments)} segments and {count} are needed: ask for fewer proposals")
    drawn = np.random.default_rng(seed).permutation(len(segments))[:count]
    return F.pad(segments[torch.from_numpy(drawn)], (0, right, 0, bottom))
