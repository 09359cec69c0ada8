"""What training does to an image before the model sees it: flip, scale, crop, pad, colors.

Every draw comes from a random state that is given, so that a sample depends on its seed alone and not on the worker
that made it or on what was drawn before.
"""

import random as python_random
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from maskadapter.data.dataset import Sample
from maskadapter.data.loading.color_jitter import jitter_color
from maskadapter.types.target import UNLABELED, Target

# Source: OFFICIAL 2.9; detectron2 FixedSizeCrop. Raw pixel value, before normalization.
PAD_VALUE = 128

Rounding = Literal["center", "corner"]


@dataclass(frozen=True)
class TrainingTransform:
    """Large-scale jitter as the official mappers do it: flip, resize, crop, pad, color, in this order.

    Args:
        size: side of the square that comes out, in pixels (768 in the official warm-up, 1024 in the second stage).
        scale: smallest and largest factor; the image is made to fit into a square of size times the factor.
        flip: probability of mirroring left and right.
        color: also vary brightness, contrast, saturation and hue. False in every published training: the official
            warm-up's configuration asks for it, but the mappers that it uses pass over it.
        rounding: which pixel of the labels a resized one takes: the one under its ``"center"`` (Pillow's nearest, what
            the official panoptic and instance mappers use) or under its upper left ``"corner"`` (PyTorch's nearest,
            what the semantic mappers use, since their labels are floating-point numbers).

    Source: Ghiasi et al. 2021 (large-scale jitter); detectron2 RandomFlip, ResizeScale and FixedSizeCrop with their
    rounding and their order of draws; OFFICIAL 2.9.
    """

    size: int
    scale: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5
    color: bool = False
    rounding: Rounding = "center"

    def __call__(self, sample: Sample, random: np.random.RandomState) -> Sample:
        """A sample of size x size: the image padded with ``PAD_VALUE``, its target with UNLABELED.

        Segments that the crop misses keep their place in the target, with an empty mask.
        """
        image, target = sample.image, sample.target
        if random.uniform() < self.flip:
            image, target = image[:, ::-1], _select(target, np.s_[..., ::-1])
        height, width = image.shape[:2]
        resized = self._resized(height, width, random.uniform(*self.scale))
        # One draw for both axes: the crop lies on the diagonal of the places it could take. Source: detectron2.
        free = np.maximum(np.subtract(resized, self.size), 0)
        top, left = np.round(free * random.uniform()).astype(int)

        rows = _source_pixels(height, resized[0], self.rounding)[top : top + self.size]
        columns = _source_pixels(width, resized[1], self.rounding)[left : left + self.size]
        target = _pad(_select(target, (..., rows[:, None], columns)), self.size)
        enlarged = Image.fromarray(np.ascontiguousarray(image)).resize(resized[::-1], Image.Resampling.BILINEAR)
        image = np.asarray(enlarged)[top : top + self.size, left : left + self.size]
        margins = [(0, self.size - image.shape[0]), (0, self.size - image.shape[1]), (0, 0)]
        image = np.pad(image, margins, constant_values=PAD_VALUE)
        if self.color:  # the padding too, as in the official mapper
            image = jitter_color(image, python_random.Random(int(random.randint(2**31))))
        return Sample(image, target, sample.name)

    def _resized(self, height: int, width: int, scale: float) -> tuple[int, int]:
        factor = min(self.size * scale / height, self.size * scale / width)
        # A strip of an image would be rounded to nothing; detectron2 fails there.
        return max(int(np.round(height * factor)), 1), max(int(np.round(width * factor)), 1)


def random_state(seed: int, number: int) -> np.random.RandomState:
    """The random state of one sample of a training: the same in whichever process or worker, unlike any other.

    number: the sample's place in the whole training (``Draw.number``); an image that comes again has another.
    """
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence((seed, number))))


def _source_pixels(old: int, new: int, rounding: Rounding) -> np.ndarray:
    """(new,) int: the pixel, of a line of ``old``, that each of ``new`` takes."""
    if rounding == "center":
        line = Image.fromarray(np.arange(old, dtype=np.int32)[None])
        return np.asarray(line.resize((new, 1), Image.Resampling.NEAREST))[0]
    # PyTorch's rounding of a place between two pixels has no simple formula: let it say itself.
    pixels = torch.arange(old, dtype=torch.float64)[None, None]
    return functional.interpolate(pixels, size=new, mode="nearest")[0, 0].to(torch.int64).numpy()


def _select(target: Target, pixels: tuple) -> Target:
    """The target's map or masks (..., H, W), indexed."""
    if target.segment_ids is not None:
        return replace(target, segment_ids=target.segment_ids[pixels])
    assert target.overlapping is not None
    return replace(target, overlapping=target.overlapping[pixels])


def _pad(target: Target, size: int) -> Target:
    """Fill up to size x size on the right and below with what no segment covers."""
    height, width = target.size
    margins = [(0, size - height), (0, size - width)]
    if target.segment_ids is not None:
        return replace(target, segment_ids=np.pad(target.segment_ids, margins, constant_values=UNLABELED))
    assert target.overlapping is not None
    return replace(target, overlapping=np.pad(target.overlapping, [(0, 0), *margins]))
