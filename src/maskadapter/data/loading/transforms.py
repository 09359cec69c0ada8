"""Training augmentation: random flip, scale, crop, padding and colors, all drawn from the random state passed in."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from maskadapter.data.dataset import Sample
from maskadapter.data.loading.color_jitter import jitter_color
from maskadapter.types import UNLABELED, Target

PAD_VALUE = 128  # raw pixel value, before normalization. Source: OFFICIAL 2.9; detectron2 FixedSizeCrop

Rounding = Literal["center", "corner"]


@dataclass(frozen=True)
class TrainingTransform:
    """Large-scale jitter as in the official mappers: flip, resize, crop, pad, color, in this order.

    size: side of the square output, in pixels (768 in the official warm-up, 1024 in the second stage). scale: smallest
    and largest factor; the image is resized to fit into a square of size times the factor. flip: probability of a
    horizontal flip. color: also vary brightness, contrast, saturation and hue. False in every published training: the
    configuration of the official warm-up asks for it, but its mappers ignore it. rounding: which label pixel a resized
    pixel takes: the one under its ``"center"`` (Pillow's nearest, as in the official panoptic and instance mappers) or
    under its upper left ``"corner"`` (PyTorch's nearest, as in the semantic mappers, whose labels are floating-point
    numbers).
    Source: Ghiasi et al. 2021 (large-scale jitter); detectron2 RandomFlip, ResizeScale and FixedSizeCrop with their
    rounding and their order of random numbers; OFFICIAL 2.9.
    """

    size: int
    scale: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5
    color: bool = False
    rounding: Rounding = "center"

    def __call__(self, sample: Sample, rng: np.random.RandomState) -> Sample:
        """Augment one sample to size x size pixels: the image padded with ``PAD_VALUE``, its target with UNLABELED.

        Segments outside the crop keep their index in the target, with an empty mask.
        """
        image, target = sample.image, sample.target
        if rng.uniform() < self.flip:
            image, target = image[:, ::-1], _changed(target, lambda pixels, _: pixels[..., ::-1])
        height, width = image.shape[:2]
        factor = self.size * rng.uniform(*self.scale)
        factor = min(factor / height, factor / width)
        # A very thin image would be rounded to a side of 0; detectron2 fails there.
        resized = max(int(np.round(height * factor)), 1), max(int(np.round(width * factor)), 1)
        # One random number for both axes: the crop lies on the diagonal of its possible places. Source: detectron2.
        free = np.maximum(np.subtract(resized, self.size), 0)
        top, left = np.round(free * rng.uniform()).astype(int)

        rows = _source_pixels(height, resized[0], self.rounding)[top : top + self.size]
        columns = _source_pixels(width, resized[1], self.rounding)[left : left + self.size]
        margins = [(0, self.size - len(rows)), (0, self.size - len(columns))]

        def crop(pixels: np.ndarray, fill: int) -> np.ndarray:
            every = [(0, 0)] * (pixels.ndim - 2)
            return np.pad(pixels[..., rows[:, None], columns], [*every, *margins], constant_values=fill)

        target = _changed(target, crop)
        resized_image = Image.fromarray(np.ascontiguousarray(image)).resize(resized[::-1], Image.Resampling.BILINEAR)
        image = np.asarray(resized_image)[top : top + self.size, left : left + self.size]
        image = np.pad(image, [*margins, (0, 0)], constant_values=PAD_VALUE)
        if self.color:  # the padding too, as in the official mapper
            image = jitter_color(image, Random(int(rng.randint(2**31))))
        return replace(sample, image=image, target=target)


def random_state(seed: int, number: int) -> np.random.RandomState:
    """Return the random state of the training sample ``Draw.number``, the same in every process and worker."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence((seed, number))))


def _source_pixels(old: int, new: int, rounding: Rounding) -> np.ndarray:
    """Return which of ``old`` pixels in a line each of ``new`` takes in nearest-neighbor resizing, (new,) int."""
    if rounding == "center":
        line = Image.fromarray(np.arange(old, dtype=np.int32)[None])
        return np.asarray(line.resize((new, 1), Image.Resampling.NEAREST))[0]
    # The rounding of PyTorch between two pixels has no simple formula: compute it with PyTorch.
    pixels = torch.arange(old, dtype=torch.float64)[None, None]
    return functional.interpolate(pixels, size=new, mode="nearest")[0, 0].to(torch.int64).numpy()


def _changed(target: Target, change: Callable[[np.ndarray, int], np.ndarray]) -> Target:
    """Call ``change`` with the segment ids or masks of a target, (..., H, W), and their value of unlabeled pixels."""
    if target.segment_ids is not None:
        return replace(target, segment_ids=change(target.segment_ids, UNLABELED))
    assert target.overlapping is not None
    return replace(target, overlapping=change(target.overlapping, False))
