"""A synthetic data set of procedurally drawn scenes, for tests, examples and controlled experiments.

An image shows several blobs that partly occlude each other. A blob has a texture and a color and carries a white
glyph; the three make its class name ("striped red ring"). Outline, size and position are random and independent of the
class, so that no mask reveals it. With ``stuff`` the ground behind the blobs is textured too and has a class ("dotted
blue ground"). Class names are compositions, so that some can be held out of a training that sees each of their parts.
Everything is drawn into small windows of pixel coordinates without anti-aliasing, so that masks are exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.errors import DatasetError
from maskadapter.types import UNLABELED, Target
from maskadapter.vocabulary import Vocabulary

Plane = np.ndarray
"""(h, w) float32: x or y coordinates of the pixels of a window, to the right or down from an origin."""

# Far enough apart to stay distinct under the dark tone, the lighting and the noise.
COLORS = {
    "red": (205, 45, 45),
    "green": (50, 165, 60),
    "blue": (55, 80, 215),
    "yellow": (220, 200, 45),
    "purple": (150, 55, 185),
    "cyan": (60, 185, 200),
}
DARK = 0.5  # factor of the dark tone of a texture
GLYPH_COLOR = 250  # white, which no texture has

TEXTURES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "plain": lambda x, y: np.zeros(x.shape, bool),
    "striped": lambda x, y: x % 1 < 0.5,
    "checkered": lambda x, y: (x % 1 < 0.5) ^ (y % 1 < 0.5),
    "dotted": lambda x, y: (x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.3**2,
}
"""Functions that return which pixels are dark. Coordinates in periods of the pattern."""

GLYPHS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "ring": lambda x, y: (x**2 + y**2 < 1) & (x**2 + y**2 > 0.6**2),
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.22) & (np.maximum(abs(x), abs(y)) < 0.95),
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.72,
    "triangle": lambda x, y: (y < 0.6) & (y > 1.9 * abs(x) - 0.95),
    "bars": lambda x, y: (abs(abs(x) - 0.55) < 0.25) & (abs(y) < 0.85),
    "moon": lambda x, y: (x**2 + y**2 < 1) & ((x - 0.5) ** 2 + y**2 > 0.8**2),
}
"""Functions that return which pixels belong to the glyph, (h, w) bool. Coordinates in glyph radii from its center; no
pixel of a glyph is further away than 1.2."""

GROUND = "ground"
Parts = tuple[str, str, str]  # texture, color and glyph, or GROUND in place of a glyph

_RADII = (0.15, 0.24)  # mean radius of a blob relative to the image's side
_WAVES = 4  # sine terms of an outline
_WOBBLE = 0.28  # largest deviation of an outline's radius from its mean, relative to it
_GLYPH = 0.6  # a glyph's radius relative to the blob's mean radius: 1.2 times that is inside every outline
_TRIES = 30  # positions tried for a blob before it is left out
_HELD_OUT = 3  # one composition in three is held out


@dataclass(frozen=True)
class Thing:
    """One blob. composition: index into ``compositions``. row, column, radius: center and mean radius, in pixels."""

    composition: int
    row: float
    column: float
    radius: float


def compositions(stuff: bool = False) -> tuple[Parts, ...]:
    """List every class as (texture, color, glyph); with ``stuff``, the grounds come last."""
    things = tuple(product(TEXTURES, COLORS, GLYPHS))
    return things + tuple(product(TEXTURES, COLORS, [GROUND])) if stuff else things


def is_held_out(composition: Parts) -> bool:
    """Return whether a composition belongs to the unseen third; each of its parts, and each pair, is also seen."""
    texture, color, glyph = composition
    glyphs = [*GLYPHS, GROUND]
    return (list(TEXTURES).index(texture) + list(COLORS).index(color) + glyphs.index(glyph)) % _HELD_OUT == 0


class Scenes:
    """A panoptic ``Dataset`` of synthetic scenes, drawn on access in 4 to 8 milliseconds each.

    length: number of scenes; the scenes of a shorter data set are the first ones of a longer one. seed: of all
    randomness: scene i depends only on (seed, i) and on the arguments below. size: side of the square images, in
    pixels. things: smallest and largest number of blobs; those that find no free position are left out, never all.
    stuff: two textured grounds with classes of their own behind the blobs; False: an unlabeled gray. seen: True for
    scenes of seen compositions only, False for unseen ones only, None for all; the vocabulary always holds all.
    Raises DatasetError for sizes and numbers that cannot be drawn.
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
            asked = f"scenes of {size} pixels with {things[0]} to {things[1]} things, {length} of them"
            raise DatasetError(f"{asked}, cannot be drawn; at least 32 pixels, 1 thing and 1 scene are needed")
        self.name, self.compositions = "scenes", compositions(stuff)
        self._length, self._seed, self._size, self._things, self._stuff = length, seed, size, things, stuff
        wanted = [i for i, parts in enumerate(self.compositions) if seen is None or is_held_out(parts) != seen]
        self._thing_choices = [i for i in wanted if self.compositions[i][2] != GROUND]
        self._ground_choices = [i for i in wanted if self.compositions[i][2] == GROUND]
        names = tuple((" ".join(parts),) for parts in self.compositions)
        self.vocabulary = Vocabulary(names, tuple(parts[2] != GROUND for parts in self.compositions))

    @property
    def seen(self) -> tuple[bool, ...]:
        """A flag for every class of the vocabulary: whether it is not held out."""
        return tuple(not is_held_out(parts) for parts in self.compositions)

    def __len__(self) -> int:
        return self._length

    def classes_of(self, index: int) -> list[int]:
        """Return the classes in a scene without drawing it: its grounds, then its blobs from back to front."""
        things, grounds, _ = self._plan(index)
        return [*grounds, *(thing.composition for thing in things)]

    def caption(self, index: int) -> str:
        """List every class name of a scene in random order: "a dotted blue ring, a plain red cross"."""
        shown = self.classes_of(index)
        order = np.random.default_rng((self._seed, index, 1)).permutation(len(shown))
        return ", ".join("a " + self.vocabulary.names[shown[i]] for i in order)

    def __getitem__(self, index: int) -> Sample:
        """Draw one scene. Raises IndexError outside of the data set."""
        things, grounds, rng = self._plan(index)
        image, ids = self._ground(grounds, rng)
        for number, thing in enumerate(things, start=len(grounds)):
            self._draw(image, ids, number, thing, rng)
        image += rng.integers(-9, 10, image.shape, dtype=np.int8)
        classes = np.array([*grounds, *(thing.composition for thing in things)], dtype=np.int64)
        target = Target(classes, np.zeros(len(classes), bool), ids)
        return Sample(image.clip(0, 255).astype(np.uint8), target, f"{index}.png")

    def _plan(self, index: int) -> tuple[list[Thing], list[int], np.random.Generator]:
        """Return blobs, grounds, and the random state that draws them."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        rng = np.random.default_rng((self._seed, index))
        grounds = rng.choice(self._ground_choices, 2, replace=False).tolist() if self._stuff else []
        things: list[Thing] = []
        for _ in range(rng.integers(*self._things, endpoint=True)):
            if thing := self._placed(things, rng):
                things.append(thing)
        return things, grounds, rng

    def _placed(self, others: Sequence[Thing], rng: np.random.Generator) -> Thing | None:
        """Place a blob so that it hides no glyph and its own glyph is in the image; None where no place is found."""
        composition = int(rng.choice(self._thing_choices))
        radius = rng.uniform(*_RADII) * self._size
        margin = _GLYPH * radius
        for row, column in rng.uniform(margin, self._size - margin, (_TRIES, 2)):
            reach = radius * (1 + _WOBBLE)
            if all((row - o.row) ** 2 + (column - o.column) ** 2 > (reach + o.radius * _GLYPH) ** 2 for o in others):
                return Thing(composition, row, column, radius)
        return None

    def _ground(self, grounds: Sequence[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a smooth gray or two grounds along a wavy line: (H, W, 3) float32 0 to 255, segment ids (H, W) int32."""
        y, x = np.ogrid[: self._size, : self._size]
        x, y = np.broadcast_arrays(x.astype(np.float32), y.astype(np.float32))
        along, across = rotated(x - self._size / 2, y - self._size / 2, rng.uniform(0, 2 * np.pi))
        if not grounds:
            gray = rng.uniform(90, 150) + across * np.float32(rng.uniform(0, 60) / self._size)
            return np.repeat(gray[..., None], 3, axis=2), np.full(x.shape, UNLABELED, np.int32)
        wave = np.sin(along * np.float32(rng.uniform(5, 12) / self._size) + np.float32(rng.uniform(0, 7)))
        ids = (across > self._size * (rng.uniform(-0.1, 0.1) + 0.08 * wave)).astype(np.int32)
        sides = [self._textured(self.compositions[number], x, y, rng) for number in grounds]
        return np.where(ids[..., None] == 0, *sides), ids

    def _draw(self, image: np.ndarray, ids: np.ndarray, number: int, thing: Thing, rng: np.random.Generator) -> None:
        """Draw a blob over image and segment ids, in place."""
        reach = thing.radius * (1 + _WOBBLE)
        top, left = (max(int(center - reach), 0) for center in (thing.row, thing.column))
        window = np.s_[top : int(thing.row + reach) + 2, left : int(thing.column + reach) + 2]
        y, x = np.ogrid[: self._size, : self._size]
        y = (y[window[0]] - np.float32(thing.row)).astype(np.float32)
        x = (x[:, window[1]] - np.float32(thing.column)).astype(np.float32)
        x, y = np.broadcast_arrays(x, y)

        waves = rng.uniform(0, [_WOBBLE / _WAVES, 2 * np.pi], (_WAVES, 2))
        inside = blob(x / np.float32(thing.radius), y / np.float32(thing.radius), waves)
        parts = self.compositions[thing.composition]
        pixels = self._textured(parts, x, y, rng)
        glyph = np.float32(_GLYPH * thing.radius)
        white = GLYPHS[parts[2]](*rotated(x / glyph, y / glyph, rng.uniform(-0.3, 0.3)))
        np.copyto(pixels, np.float32(GLYPH_COLOR), where=white[..., None])
        np.copyto(image[window], pixels, where=inside[..., None])
        np.copyto(ids[window], number, where=inside)

    def _textured(self, parts: Parts, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw texture and color, (h, w, 3) float32, randomly rotated, shifted, scaled and lit."""
        period = np.float32(rng.uniform(0.055, 0.075) * self._size)
        along, across = rotated(x, y, rng.uniform(0, np.pi))
        shift = rng.uniform(0, 1, 2).astype(np.float32)
        dark = TEXTURES[parts[0]](along / period + shift[0], across / period + shift[1])
        light = rng.uniform(0.85, 1.1) * (np.array(COLORS[parts[1]]) + rng.uniform(-15, 15, 3))
        return np.where(dark, np.float32(DARK), np.float32(1))[..., None] * light.astype(np.float32)


def rotated(x: Plane, y: Plane, angle: float) -> tuple[Plane, Plane]:
    """Rotate the coordinate axes by an angle in radians."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cosine + y * sine, y * cosine - x * sine


def blob(x: Plane, y: Plane, waves: np.ndarray) -> Plane:
    """Return which pixels belong to a wobbly disc, (h, w) bool.

    x, y: in mean radii from its center. waves: (n, 2), amplitude and phase of the sine terms with 2, 3, ... n + 1
    periods around the disc. The radius stays within 1 plus or minus the sum of the amplitudes.
    """
    place = x + np.complex64(1j) * y
    squared = x**2 + y**2
    direction = place / np.sqrt(np.maximum(squared, np.float32(1e-6)))
    # cos(n angle + phase) is the real part of direction**n * exp(i phase): no trigonometry for every pixel.
    power, radius = direction, np.ones_like(squared)
    for amplitude, phase in waves:
        power = power * direction
        radius += (power * np.complex64(amplitude * np.exp(1j * phase))).real
    return squared < radius**2
