"""Vary an image's colors: brightness, contrast, saturation, hue, each or not, as the official code does.

Source: Liu et al. 2016 (SSD), data augmentation; detectron2 ColorAugSSDTransform. The official code converts to hue,
saturation and value in 8 bits with OpenCV; its rounding is followed here, so that no pixel differs where the width is a
multiple of 32. (OpenCV rounds the last pixels of other rows in another way, by one level.)
"""

from collections.abc import Callable
from random import Random

import numpy as np

# Source: detectron2 ColorAugSSDTransform.
BRIGHTNESS = 32.0  # of 255, up or down
FACTORS = (0.5, 1.5)  # contrast and saturation
HUE = 18  # of 180, up or down

_HUES = 180  # hue in 8 bits. Source: OpenCV, COLOR_RGB2HSV
_SHIFT = 12  # bits after the point in OpenCV's reciprocals
_SIXTH = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]])  # R, G, B in each sixth of hues


def jitter_color(image: np.ndarray, random: Random) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same, its colors varied. Contrast comes first or last."""
    image = _perhaps(_brightness, image, random)
    steps = (_contrast, _saturation, _hue) if random.randrange(2) else (_saturation, _hue, _contrast)
    for step in steps:
        image = _perhaps(step, image, random)
    return image


def _perhaps(step: Callable[[np.ndarray, Random], np.ndarray], image: np.ndarray, random: Random) -> np.ndarray:
    return step(image, random) if random.randrange(2) else image


def _brightness(image: np.ndarray, random: Random) -> np.ndarray:
    return _linear(image, offset=random.uniform(-BRIGHTNESS, BRIGHTNESS))


def _contrast(image: np.ndarray, random: Random) -> np.ndarray:
    return _linear(image, factor=random.uniform(*FACTORS))


def _saturation(image: np.ndarray, random: Random) -> np.ndarray:
    hue, saturation, value = _to_hsv(image)
    return _to_rgb(hue, _linear(saturation.astype(np.uint8), factor=random.uniform(*FACTORS)), value)


def _hue(image: np.ndarray, random: Random) -> np.ndarray:
    hue, saturation, value = _to_hsv(image)
    return _to_rgb((hue + random.randint(-HUE, HUE)) % _HUES, saturation, value)


def _linear(values: np.ndarray, factor: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return (values.astype(np.float32) * np.float32(factor) + np.float32(offset)).clip(0, 255).astype(np.uint8)


def _to_hsv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue 0 to 179, saturation and value 0 to 255, each (H, W) integers, rounded as OpenCV does."""
    red, green, blue = np.moveaxis(image.astype(np.int32), -1, 0)
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    saturation = _divide(spread, 255 << _SHIFT, value)
    sixths = np.select(
        [value == red, value == green], [green - blue, blue - red + 2 * spread], red - green + 4 * spread
    )
    hue = _divide(sixths, (_HUES << _SHIFT) / 6, spread)
    return np.where(hue < 0, hue + _HUES, hue), saturation, value


def _divide(numerator: np.ndarray, one: float, denominator: np.ndarray) -> np.ndarray:
    """Fixed-point numerator * one / denominator, 0 where the denominator is 0."""
    reciprocals = np.zeros(256, dtype=np.int32)
    reciprocals[1:] = np.rint(one / np.arange(1, 256))
    return (numerator * reciprocals[denominator] + (1 << (_SHIFT - 1))) >> _SHIFT


def _to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8. In single precision with fused multiply-add, cut off at the end, as OpenCV's fast path does."""
    sixth = hue.astype(np.float32) * np.float32(6 / _HUES)
    sector = np.floor(sixth).astype(np.int32)
    part = sixth - sector.astype(np.float32)
    share = saturation.astype(np.float32) * np.float32(1 / 255)
    value = value.astype(np.float32) * np.float32(1 / 255)
    factors = [np.ones_like(share), 1 - share, _one_less(share, part), _one_less(share, 1 - part)]
    levels = np.stack(factors, axis=-1) * value[..., None]
    rgb = np.take_along_axis(levels, _SIXTH[sector % 6], axis=-1)
    return (rgb * np.float32(255)).clip(0, 255).astype(np.uint8)


def _one_less(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - a * b, rounded to single precision once."""
    return (1 - a.astype(np.float64) * b).astype(np.float32)
