"""Color augmentation: random brightness, contrast, saturation and hue, each applied or not, as in the official code.

Source: Liu et al. 2016 (SSD), data augmentation; detectron2 ColorAugSSDTransform. The official code converts to hue,
saturation and value in 8 bits with OpenCV; its rounding is reproduced here, so that no pixel differs where the width is
a multiple of 32. (OpenCV rounds the last pixels of other rows differently, by one level.)
"""

from random import Random

import numpy as np

BRIGHTNESS = 32.0  # of 255, up or down
FACTORS = (0.5, 1.5)  # contrast and saturation
HUE = 18  # of 180, up or down

_HUES = 180  # hue in 8 bits. Source: OpenCV, COLOR_RGB2HSV
_SHIFT = 12  # bits after the point in OpenCV's reciprocals
_SIXTH = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]])  # R, G, B in each sixth of hues


def jitter_color(image: np.ndarray, rng: Random) -> np.ndarray:
    """Augment the colors of an image, (H, W, 3) uint8 RGB, and return a new one. Contrast comes first or last."""
    if rng.randrange(2):
        image = _linear(image, offset=rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    for step in (_contrast, _saturation, _hue) if rng.randrange(2) else (_saturation, _hue, _contrast):
        if rng.randrange(2):
            image = step(image, rng)
    return image


def _contrast(image: np.ndarray, rng: Random) -> np.ndarray:
    return _linear(image, factor=rng.uniform(*FACTORS))


def _saturation(image: np.ndarray, rng: Random) -> np.ndarray:
    hue, saturation, value = _to_hsv(image)
    return _to_rgb(hue, _linear(saturation.astype(np.uint8), factor=rng.uniform(*FACTORS)), value)


def _hue(image: np.ndarray, rng: Random) -> np.ndarray:
    hue, saturation, value = _to_hsv(image)
    return _to_rgb((hue + rng.randint(-HUE, HUE)) % _HUES, saturation, value)


def _linear(values: np.ndarray, factor: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return (values.astype(np.float32) * np.float32(factor) + np.float32(offset)).clip(0, 255).astype(np.uint8)


def _to_hsv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert (H, W, 3) uint8 RGB to hue 0 to 179, saturation and value 0 to 255, each (H, W) int; rounds as OpenCV."""
    red, green, blue = np.moveaxis(image.astype(np.int32), -1, 0)
    value = image.max(axis=-1).astype(np.int32)
    chroma = value - image.min(axis=-1)
    saturation = _divide(chroma, 255 << _SHIFT, value)
    choices = [green - blue, blue - red + 2 * chroma]
    sixths = np.select([value == red, value == green], choices, red - green + 4 * chroma)
    hue = _divide(sixths, (_HUES << _SHIFT) / 6, chroma)
    return np.where(hue < 0, hue + _HUES, hue), saturation, value


def _divide(numerator: np.ndarray, one: float, denominator: np.ndarray) -> np.ndarray:
    """Compute numerator * one / denominator in fixed point, 0 where the denominator is 0."""
    reciprocals = np.zeros(256, dtype=np.int32)
    reciprocals[1:] = np.rint(one / np.arange(1, 256))
    return (numerator * reciprocals[denominator] + (1 << (_SHIFT - 1))) >> _SHIFT


def _to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Convert to (H, W, 3) uint8 RGB in single precision, with fused multiply-add and truncation, as OpenCV does."""
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
    """Compute 1 - a * b, rounded to single precision once."""
    return (1 - a.astype(np.float64) * b).astype(np.float32)
