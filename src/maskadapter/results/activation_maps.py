"""Where a model pools CLIP's features for each mask, as numbers and as an image. Source: paper, figure 4."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from maskadapter.results.colors import Color
from maskadapter.results.overlay import draw_overlay, name_tag
from maskadapter.types import ImageSizes

_TILE = 96  # pixels of the longer side of a small image; photo and mean are twice as large
_GAP = 6
_IN_A_LINE = 8
# From dark to light, so that it reads in gray and with any color vision. Source: matplotlib's magma, six of it.
_HEAT = np.array(
    [(0, 0, 4), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191)], np.float32
)


@dataclass(frozen=True)
class ActivationMaps:
    """weights: (N, M, h, w) float32, M maps for each of N masks over the feature map of the padded input; each map sums
    to 1 (to 0 for an empty mask). M is 16 with Mask-Adapter and 1 with mask pooling."""

    weights: np.ndarray
    sizes: ImageSizes

    def drawn(self, image: np.ndarray, masks: np.ndarray, names: Sequence[str], colors: Sequence[Color]) -> Image.Image:
        """A sheet with the image (H, W, 3) uint8 and each mask (N, H, W) bool, the mean of its maps, and the maps, each
        scaled to its own highest weight. names, colors: of the masks. Without masks the sheet is the image alone."""
        height, width = image.shape[:2]
        scale = _TILE / max(height, width)
        tile = (max(1, round(width * scale)), max(1, round(height * scale)))
        large = (2 * tile[0] + _GAP, 2 * tile[1] + _GAP)
        photo = Image.fromarray(image).resize(large, Image.Resampling.LANCZOS)
        if not len(masks):
            return photo
        count = self.weights.shape[1]
        columns = min(_IN_A_LINE, -(-count // 2)) if count > 1 else 0  # one map is its own mean
        lines = -(-count // max(1, columns))
        step = (tile[0] + _GAP, tile[1] + _GAP)
        block = max(2, lines) * step[1] + _GAP
        sheet = Image.new("RGB", (_GAP + 2 * (large[0] + _GAP) + columns * step[0], len(masks) * block + _GAP), "white")
        for row, (mask, maps, name, color) in enumerate(zip(masks, self.weights, names, colors, strict=True)):
            top = _GAP + row * block
            small = np.asarray(Image.fromarray(mask).resize(large, Image.Resampling.NEAREST))
            sheet.paste(draw_overlay(np.asarray(photo), np.where(small, 0, -1), [name], colors=[color]), (_GAP, top))
            left = 2 * _GAP + large[0]
            sheet.paste(self.heat(maps.mean(axis=0), photo), (left, top))
            tag = name_tag("mean" if columns else "weights", 11, (255, 255, 255))
            sheet.paste(tag, (left + 4, top + 4), tag)
            left += large[0] + _GAP
            for index, weights in enumerate(maps if columns else ()):
                place = (left + index % columns * step[0], top + index // columns * step[1])
                sheet.paste(self.heat(weights, photo.resize(tile, Image.Resampling.BOX)), place)
        return sheet

    def heat(self, weights: np.ndarray, photo: Image.Image) -> Image.Image:
        """One map (h, w) over the photo in gray: from dark, 0, to light, its own highest weight."""
        position = self.strength(weights, photo.size) * (len(_HEAT) - 1)
        low = position.astype(int).clip(max=len(_HEAT) - 2)
        colors = _HEAT[low] + (position - low)[..., None] * (_HEAT[low + 1] - _HEAT[low])
        gray = np.asarray(photo.convert("L"), np.float32)[..., None]
        return Image.fromarray((0.35 * gray + 0.65 * colors).round().astype(np.uint8))

    def strength(self, weights: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """One map (h, w) over the image alone, (height, width) float32 from 0 to 1, its own highest weight. size:
        (width, height) of the result."""
        grid = Image.fromarray((weights / max(float(weights.max()), 1e-12)).astype(np.float32))
        (rows, columns), (high, wide) = self.sizes.padded, self.sizes.resized
        box = (0, 0, grid.width * wide / columns, grid.height * high / rows)
        strength: np.ndarray = np.asarray(grid.resize(size, Image.Resampling.BILINEAR, box=box)).clip(0, 1)
        return strength
