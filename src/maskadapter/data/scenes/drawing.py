"""Drawing the parts of synthetic scenes: colors, textures, glyphs and outlines.

Everything is drawn into small windows of pixel coordinates without anti-aliasing, so that masks are exact.
"""

from collections.abc import Callable

import numpy as np

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


def plain(x: Plane, y: Plane) -> Plane:
    return np.zeros(x.shape, bool)


def striped(x: Plane, y: Plane) -> Plane:
    return x % 1 < 0.5


def checkered(x: Plane, y: Plane) -> Plane:
    return (x % 1 < 0.5) ^ (y % 1 < 0.5)


def dotted(x: Plane, y: Plane) -> Plane:
    return (x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.3**2


TEXTURES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "plain": plain,
    "striped": striped,
    "checkered": checkered,
    "dotted": dotted,
}
"""Functions that return which pixels are dark. Coordinates in periods of the pattern."""


def ring(x: Plane, y: Plane) -> Plane:
    radius = x**2 + y**2
    return (radius < 1) & (radius > 0.6**2)


def cross(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x), np.abs(y)
    return (np.minimum(x, y) < 0.22) & (np.maximum(x, y) < 0.95)


def square(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x), np.abs(y)) < 0.72


def triangle(x: Plane, y: Plane) -> Plane:
    return (y < 0.6) & (y > 1.9 * np.abs(x) - 0.95)


def bars(x: Plane, y: Plane) -> Plane:
    return (np.abs(np.abs(x) - 0.55) < 0.25) & (np.abs(y) < 0.85)


def moon(x: Plane, y: Plane) -> Plane:
    return (x**2 + y**2 < 1) & ((x - 0.5) ** 2 + y**2 > 0.8**2)


GLYPHS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "ring": ring,
    "cross": cross,
    "square": square,
    "triangle": triangle,
    "bars": bars,
    "moon": moon,
}
"""Functions that return which pixels belong to the glyph, (h, w) bool. Coordinates in glyph radii from its center; no
pixel of a glyph is further away than 1.2."""


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


def tones(dark: Plane, color: np.ndarray) -> np.ndarray:
    """Fill a window with a color (3,), darkened where the texture is dark: (h, w, 3) float32."""
    return np.where(dark, np.float32(DARK), np.float32(1))[..., None] * color.astype(np.float32)
