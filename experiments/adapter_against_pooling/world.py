"""The images of the experiment: procedural scenes on a ground without a class, whose masks do not reveal a class."""

from collections.abc import Iterable

import numpy as np
import torch
from clip import normalized
from torch import Tensor

from maskadapter.data.scenes.scenes import COLORS, GLYPHS, TEXTURES, Scenes
from maskadapter.types.target import Target

WORDS = (*TEXTURES, *COLORS, *GLYPHS)
ATTRIBUTES = ("texture", "color", "glyph")
_ENDLESS = 10**9


def clip_scenes(seed: int) -> Scenes:
    """Training images of CLIP: all classes, one to four things in an image. seed: -1 for validation images."""
    return Scenes(_ENDLESS, seed=1000 + seed, things=(1, 4))


def adapter_scenes(seed: int) -> Scenes:
    """Training images of adapters: the seen classes alone, two to six things in an image."""
    return Scenes(_ENDLESS, seed=2000 + seed, things=(2, 6), seen=True)


def test_scenes() -> Scenes:
    """Test images: all classes, two to six things in an image."""
    return Scenes(_ENDLESS, seed=3000, things=(2, 6))


def single_scenes() -> Scenes:
    """Images of one thing, to test CLIP without masks."""
    return Scenes(_ENDLESS, seed=4000, things=(1, 1))


def render(scenes: Scenes, indices: Iterable[int]) -> tuple[Tensor, list[Target]]:
    """Images (B, 3, H, W), normalized, and their targets."""
    samples = [scenes[index] for index in indices]
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    return normalized(images.permute(0, 3, 1, 2)), [sample.target for sample in samples]
