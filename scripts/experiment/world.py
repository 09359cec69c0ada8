"""The pictures of the experiment: procedural scenes without a nameable ground, whose masks cannot leak a name."""

from collections.abc import Iterable

import numpy as np
import torch
from clip import normalised
from torch import Tensor

from maskadapter.data.scene_drawing import COLOURS, GLYPHS, TEXTURES
from maskadapter.data.scenes import Scenes
from maskadapter.target import Target

WORDS = (*TEXTURES, *COLOURS, *GLYPHS)
ATTRIBUTES = ("texture", "colour", "glyph")
_ENDLESS = 10**9


def clip_scenes(seed: int) -> Scenes:
    """What CLIP is trained on: all compositions, one to four in a picture. seed: -1 for pictures to check it with."""
    return Scenes(_ENDLESS, seed=1000 + seed, things=(1, 4))


def adapter_scenes(seed: int) -> Scenes:
    """What adapters are trained on: the seen compositions alone, two to six in a picture."""
    return Scenes(_ENDLESS, seed=2000 + seed, things=(2, 6), seen=True)


def test_scenes() -> Scenes:
    """All compositions, two to six in a picture."""
    return Scenes(_ENDLESS, seed=3000, things=(2, 6))


def single_scenes() -> Scenes:
    """One thing a picture: what CLIP knows of names where nothing has to be found."""
    return Scenes(_ENDLESS, seed=4000, things=(1, 1))


def pictures(scenes: Scenes, indices: Iterable[int]) -> tuple[Tensor, list[Target]]:
    """(B, 3, H, W), normalised, and their targets."""
    samples = [scenes[index] for index in indices]
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    return normalised(images.permute(0, 3, 1, 2)), [sample.target for sample in samples]
