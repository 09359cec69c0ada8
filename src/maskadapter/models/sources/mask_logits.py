"""Masks from anywhere, as logits for the networks."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskadapter.io import mask_parts
from maskadapter.models.sources.given_masks import at_stride_4
from maskadapter.models.sources.source_names import is_source, mask_source
from maskadapter.types import ImageSizes


def mask_logits(
    masks: Any, image: np.ndarray, sizes: ImageSizes, file_name: str | None, device: torch.device
) -> Tensor:
    """Make or read the masks of an image: (N, h, w) logits at stride 4 of the networks' input.

    masks: whatever ``mask_parts`` takes; a ``MaskSource``, which gets ``image`` (H, W, 3) uint8 as it is; or the name
    of one, which is loaded. file_name: of the image, to find its masks in a COCO file.
    """
    if isinstance(masks, str) and is_source(masks):
        masks = mask_source(masks, device)
    if callable(masks):
        masks = masks(image)
    parts = mask_parts(masks, sizes.original, file_name)
    return torch.cat([at_stride_4(torch.from_numpy(part), sizes) for part in parts]).to(device)
