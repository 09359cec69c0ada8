"""The images of the experiment: procedural scenes without a nameable ground, whose masks cannot leak a name."""

from collections.abc import Iterable

import numpy as np
import torch
from clip import normalized
from torch import Tensor

from maskadapter.data.scenes.drawing import COLORS, GLYPHS, TEXTURES
from maskadapter.data.scenes.scenes import Scenes
from maskadapter.types.target import Target

WORDS = (*TEXTURES, *COLORS, *GLYPHS)
ATTRIBUTES = ("texture", "color", "glyph")
_ENDLESS = 10**9


def clip_scenes(seed: int) -> Scenes:
    """What CLIP is trained on: all compositions, one to four in an image. seed: -1 for images to check it with."""
    return Scenes(_ENDLESS, seed=1000 + seed, things=(1, 4))


def adapter_scenes(seed: int) -> Scenes:
    """What adapters are trained on: the seen compositions alone, two to six in an image."""
    return Scenes(_ENDLESS, seed=2000 + seed, things=(2, 6), seen=True)


def test_scenes() -> Scenes:
    """All compositions, two to six in an image."""
    return Scenes(_ENDLESS, seed=3000, things=(2, 6))


def single_scenes() -> Scenes:
    """One thing an image: what CLIP knows of names where nothing has to be found."""
    return Scenes(_ENDLESS, seed=4000, things=(1, 1))


def render(scenes: Scenes, indices: Iterable[int]) -> tuple[Tensor, list[Target]]:
    """(B, 3, H, W), normalized, and their targets."""
    samples = [scenes[index] for index in indices]
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    return normalized(images.permute(0, 3, 1, 2)), [sample.target for sample in samples]
