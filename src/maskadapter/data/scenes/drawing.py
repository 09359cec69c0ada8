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
