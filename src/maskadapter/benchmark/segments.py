"""Time the adapter alone on segments drawn from a data set: masks that differ and are not empty."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.benchmark.stages import PreparedImage
from maskadapter.data import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler
from maskadapter.types import ImageSizes


def draw_segments(root: Path, count: int, sizes: ImageSizes, seed: int = 0) -> Tensor:
    """Draw ``count`` different segments from the validation images of a folder of COCO panoptic.

    sizes: those of the image whose features the segments are laid on; each segment is resized to it. Returns
    (count, h, w) bool at stride 4. Raises MaskAdapterError when the folder holds fewer segments.
    """
    size = (sizes.resized[0] // 4, sizes.resized[1] // 4)
    bottom, right = (full // 4 - side for full, side in zip(sizes.padded, size, strict=True))
    dataset = open_dataset("coco-panoptic", root, split="val")
    found: list[Tensor] = []
    for index in range(len(dataset)):
        masks = torch.from_numpy(dataset[index].target.masks())
        if len(masks):
            found.append(F.interpolate(masks[None].float(), size, mode="area")[0] > 0.5)
    segments = torch.cat(found).unique(dim=0) if found else torch.zeros(0, *size, dtype=torch.bool)
    segments = segments[segments.flatten(1).any(dim=1)]
    if len(segments) < count:
        raise MaskAdapterError(f"{root} holds {len(segments)} segments and {count} are needed: ask for fewer proposals")
    drawn = np.random.default_rng(seed).permutation(len(segments))[:count]
    return F.pad(segments[torch.from_numpy(drawn)], (0, right, 0, bottom))


@torch.inference_mode()
def compare_on_segments(
    segmenter: OpenVocabularySegmenter, image: PreparedImage, segments: Tensor, clock: Clock
) -> float:
    """Time the reference and the exact adapter on segments (N, h, w) of one image.

    clock: gets the seconds of ``reference`` and ``exact``. Returns the largest difference between the two embeddings
    as a share of the largest number in them.
    """
    pooler = segmenter.pooler
    assert isinstance(pooler, AdapterPooler)
    features = segmenter.clip.encode_image(image.batch.pixels)
    masks = segments[None].to(image.batch.pixels.device)
    with clock.part("reference"):
        reference = ReferencePooler(pooler).embed(features, masks, segmenter.clip.project)
    with clock.part("exact"):
        exact = pooler.embed(features, masks, segmenter.clip.project)
    return float((exact - reference).abs().max() / reference.abs().max())
