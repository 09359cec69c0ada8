"""Procedural scenes: a data set without end for tests, examples and controlled experiments.

An image holds several blobs that hide parts of each other. A blob has a texture and a color and carries a white
glyph; the three are its name ("striped red ring"). Outline, size and place are random and say nothing of the name: no
mask gives it away. With ``stuff`` the ground behind them is textured too and has a name ("dotted blue ground").
Names compose, so that some compositions can be kept from a training while all of their words are met.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.scenes.drawing import COLORS, GLYPH_COLOR, GLYPHS, TEXTURES, blob, tones, turned
from maskadapter.errors import DatasetError
from maskadapter.types.target import UNLABELED, Target
from maskadapter.vocabulary.vocabulary import Vocabulary

GROUND = "ground"

_RADII = (0.15, 0.24)  # mean radius of a blob, of the image's side
_WAVES = 4  # terms of an outline
_WOBBLE = 0.28  # the most that an outline's radius differs from its mean
_GLYPH = 0.6  # a glyph's radius, of the blob's mean radius: 1.2 times that is inside every outline
_TRIES = 30  # places that are tried for a blob before it is left out
_HELD_OUT = 3  # one composition in so many


@dataclass(frozen=True)
class Thing:
    """One blob. composition: index into ``compositions``. row, column, radius: pixels, of its center and its mean."""

    composition: int
    row: float
    column: float
    radius: float


def compositions(stuff: bool = False) -> tuple[tuple[str, str, str], ...]:
    """Every (texture, color, glyph), the grounds last if there are any."""
    things = tuple(product(TEXTURES, COLORS, GLYPHS))
    return things + tuple(product(TEXTURES, COLORS, [GROUND])) if stuff else things


def is_held_out(composition: tuple[str, str, str]) -> bool:
    """Whether it is one of the unseen third. Every word, and every pair of words, is among the seen too."""
    texture, color, glyph = composition
    glyphs = [*GLYPHS, GROUND]
    return (list(TEXTURES).index(texture) + list(COLORS).index(color) + glyphs.index(glyph)) % _HELD_OUT == 0


class Scenes:
    """A ``Dataset`` (task "panoptic") of scenes that are drawn when they are asked for, 4 to 8 milliseconds each.

    Args:
        length: how many there are; the scenes of a shorter data set are the first ones of a longer one.
        seed: of everything random. Scene i is a function of (seed, i) and of the arguments below alone.
        size: side of the square images, pixels.
        things: fewest and most blobs that are tried to fit in; at least one does.
        stuff: two textured grounds with names of their own behind the blobs; False: a gray without a label.
        seen: True for scenes of the seen compositions alone, False for the unseen alone, None for all. The vocabulary
            is the same: all names.

    Raises DatasetError for sizes that cannot be drawn.
    """

    task: Task = "panoptic"

    def __init__(
        self,
        length: int,
        seed: int = 0,
        size: int = 128,
        things: tuple[int, int] = (2, 6),
        stuff: bool = False,
        seen: bool | None = None,
    ) -> None:
        if size < 32 or not 1 <= things[0] <= things[1] or length < 1:
            raise DatasetError(
                f"scenes of {size} pixels with {things[0]} to {things[1]} things, {length} of them, cannot be drawn; "
                "at least 32 pixels, 1 thing and 1 scene are needed"
            )
        self.name = "scenes"
        self.compositions = compositions(stuff)
        self._length = length
        self._seed = seed
        self._size = size
        self._things = things
        self._stuff = stuff
        wanted = [seen is None or is_held_out(names) != seen for names in self.compositions]
        self._thing_choices = [i for i, ok in enumerate(wanted) if ok and self.compositions[i][2] != GROUND]
        self._ground_choices = [i for i, ok in enumerate(wanted) if ok and self.compositions[i][2] == GROUND]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        names = tuple((" ".join(words),) for words in self.compositions)
        return Vocabulary(names, tuple(words[2] != GROUND for words in self.compositions))

    @property
    def seen(self) -> tuple[bool, ...]:
        """A flag for every class of the vocabulary."""
        return tuple(not is_held_out(words) for words in self.compositions)

    def __len__(self) -> int:
        return self._length

    def classes_of(self, index: int) -> list[int]:
        """What a scene shows, without drawing it: its grounds, then its blobs from back to front."""
        things, grounds, _ = self._plan(index)
        return [*grounds, *(thing.composition for thing in things)]

    def caption(self, index: int) -> str:
        """Every name of a scene, in random order: "a dotted blue ring, a plain red cross"."""
        shown = self.classes_of(index)
        order = np.random.default_rng((self._seed, index, 1)).permutation(len(shown))
        return ", ".join("a " + self.vocabulary.names[shown[i]] for i in order)

    def __getitem__(self, index: int) -> Sample:
        things, grounds, random = self._plan(index)
        image, ids = self._ground(grounds, random)
        for number, thing in enumerate(things, start=len(grounds)):
            self._draw(image, ids, number, thing, random)
        image += random.integers(-9, 10, image.shape, dtype=np.int8)
        classes = np.array([*grounds, *(thing.composition for thing in things)], dtype=np.int64)
        target = Target(classes, np.zeros(len(classes), bool), ids)
        return Sample(image.clip(0, 255).astype(np.uint8), target, f"{index}.png")

    def _plan(self, index: int) -> tuple[list[Thing], list[int], np.random.Generator]:
        """Blobs, grounds, and the random state that draws them."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        random = np.random.default_rng((self._seed, index))
        grounds = random.choice(self._ground_choices, 2, replace=False).tolist() if self._stuff else []
        things: list[Thing] = []
        for _ in range(random.integers(*self._things, endpoint=True)):
            thing = self._placed(things, random)
            if thing is not None:
                things.append(thing)
        return things, grounds, random

    def _placed(self, others: Sequence[Thing], random: np.random.Generator) -> Thing | None:
        """Where it hides no glyph and its own glyph lies in the image; None where no such place is found."""
        composition = int(random.choice(self._thing_choices))
        radius = random.uniform(*_RADII) * self._size
        margin = _GLYPH * radius
        for row, column in random.uniform(margin, self._size - margin, (_TRIES, 2)):
            apart = [(row - other.row) ** 2 + (column - other.column) ** 2 for other in others]
            reach = [(radius * (1 + _WOBBLE) + other.radius * _GLYPH) ** 2 for other in others]
            if all(distance > needed for distance, needed in zip(apart, reach, strict=True)):
                return Thing(composition, row, column, radius)
        return None

    def _ground(self, grounds: Sequence[int], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) float32 and (H, W) int32: a gray that changes slowly, or two grounds along a wavy line."""
        y, x = np.ogrid[: self._size, : self._size]
        x, y = np.broadcast_arrays(x.astype(np.float32), y.astype(np.float32))
        along, across = turned(x - self._size / 2, y - self._size / 2, random.uniform(0, 2 * np.pi))
        if not grounds:
            gray = random.uniform(90, 150) + across * np.float32(random.uniform(0, 60) / self._size)
            ids = np.full(x.shape, UNLABELED, np.int32)
            return np.repeat(gray[..., None], 3, axis=2), ids
        wave = np.sin(along * np.float32(random.uniform(5, 12) / self._size) + np.float32(random.uniform(0, 7)))
        ids = (across > self._size * (random.uniform(-0.1, 0.1) + 0.08 * wave)).astype(np.int32)
        sides = [self._textured(self.compositions[number], x, y, random) for number in grounds]
        return np.where(ids[..., None] == 0, *sides), ids

    def _draw(self, image: np.ndarray, ids: np.ndarray, number: int, thing: Thing, random: np.random.Generator) -> None:
        """Lay a blob over what is there."""
        reach = thing.radius * (1 + _WOBBLE)
        top, left = (max(int(center - reach), 0) for center in (thing.row, thing.column))
        window = np.s_[top : int(thing.row + reach) + 2, left : int(thing.column + reach) + 2]
        y, x = np.ogrid[: self._size, : self._size]
        y = (y[window[0]] - np.float32(thing.row)).astype(np.float32)
        x = (x[:, window[1]] - np.float32(thing.column)).astype(np.float32)
        x, y = np.broadcast_arrays(x, y)

        waves = random.uniform(0, [_WOBBLE / _WAVES, 2 * np.pi], (_WAVES, 2))
        inside = blob(x / np.float32(thing.radius), y / np.float32(thing.radius), waves)
        names = self.compositions[thing.composition]
        pixels = self._textured(names, x, y, random)
        glyph = np.float32(_GLYPH * thing.radius)
        white = GLYPHS[names[2]](*turned(x / glyph, y / glyph, random.uniform(-0.3, 0.3)))
        np.copyto(pixels, np.float32(GLYPH_COLOR), where=white[..., None])
        np.copyto(image[window], pixels, where=inside[..., None])
        np.copyto(ids[window], number, where=inside)

    def _textured(
        self, names: tuple[str, str, str], x: np.ndarray, y: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """(h, w, 3) float32: texture and color, turned, shifted, scaled and lit at random."""
        period = np.float32(random.uniform(0.055, 0.075) * self._size)
        along, across = turned(x, y, random.uniform(0, np.pi))
        shift = random.uniform(0, 1, 2).astype(np.float32)
        dark = TEXTURES[names[0]](along / period + shift[0], across / period + shift[1])
        light = random.uniform(0.85, 1.1) * (np.array(COLORS[names[1]]) + random.uniform(-15, 15, 3))
        return tones(dark, light)
