"""Draw images in rows and columns, with a title over every column and a label beside every row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten, wrap
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from maskadapter.paper.figures.page import DPI, TEXT, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 20
"""Rows that fit on a page."""
_GAP, _TITLE, _LINE = 0.04, 0.19, 0.13  # inches
_WIDEST = 2.4  # of an image: two of them do not fill the page
_TALLEST = 1.5  # times its width
_LETTER = 0.062  # inches of one letter, roughly


@dataclass(frozen=True)
class Row:
    """One row of the grid.

    images: (H, W, 3) uint8, one for each column; None leaves it empty. label: at the left. outline: (H, W) bool, a mask
    whose outline is drawn on all of them. notes: a short text in the corner of each image.
    """

    images: Sequence[np.ndarray | None]
    label: str = ""
    outline: np.ndarray | None = None
    notes: Sequence[str] = ()


def width_of(columns: int) -> float:
    """Return the width of one image in inches, for a number of columns."""
    return min(_WIDEST, (TEXT - 2 * _LINE - columns * _GAP) / columns)


def at_print_size(image: np.ndarray, columns: int) -> np.ndarray:
    """Resize an image (H, W, 3) uint8 to the pixels that are printed of it."""
    return np.asarray(Image.fromarray(image).resize(_print_size(image, columns), Image.Resampling.LANCZOS))


def mask_at_print_size(mask: np.ndarray, columns: int) -> np.ndarray:
    """Resize a mask or label map (H, W) as ``at_print_size`` resizes images, by the nearest pixel."""
    wide, high = _print_size(mask, columns)
    rows = (np.arange(high) + 0.5) * mask.shape[0] / high
    return mask[rows.astype(int)[:, None], ((np.arange(wide) + 0.5) * mask.shape[1] / wide).astype(int)]


def _print_size(image: np.ndarray, columns: int) -> tuple[int, int]:
    wide = width_of(columns)
    scale = min(wide / image.shape[1], _TALLEST * wide / image.shape[0]) * DPI
    return max(2, round(image.shape[1] * scale)), max(2, round(image.shape[0] * scale))


def image_grid(rows: Sequence[Row], titles: Sequence[str], output: Path) -> "Figure":
    """Write the figure to ``output`` and return it. rows: each with at least one image. titles: one for each column."""
    from matplotlib.patheffects import withStroke

    columns, wide = len(titles), width_of(len(titles))
    shapes = [next(image for image in row.images if image is not None).shape for row in rows]
    heights = [wide * min(_TALLEST, shape[0] / shape[1]) for shape in shapes]
    labels = [_wrapped(row.label, height) for row, height in zip(rows, heights, strict=True)]
    margin = max((1 + label.count("\n")) * _LINE if label else 0 for label in labels)
    width, height = margin + columns * (wide + _GAP), _TITLE + sum(heights) + _GAP * len(rows)
    with page(output, width, height, layout=None) as figure:
        top = height - _TITLE
        for row, (label, tall, content) in enumerate(zip(labels, heights, rows, strict=True)):
            for column, image in enumerate(content.images):
                left = margin + column * (wide + _GAP)
                if row == 0:
                    middle = (left + wide / 2) / width
                    figure.text(middle, 1 - 0.6 * _TITLE / height, titles[column], ha="center", va="center", size=7)
                if image is None:
                    continue
                axes = figure.add_axes((left / width, (top - tall) / height, wide / width, tall / height))
                axes.set_axis_off()
                axes.imshow(image)
                if content.outline is not None and content.outline.any():
                    _draw_outline(axes, content.outline)
                if column < len(content.notes):
                    text = axes.text(0.03, 0.04, content.notes[column], color="w", size=6.5, transform=axes.transAxes)
                    text.set_path_effects([withStroke(linewidth=1.5, foreground="black")])
            middle = (top - tall / 2) / height
            figure.text(0.5 * margin / width, middle, label, rotation=90, ha="center", va="center", size=7)
            top -= tall + _GAP
    return figure


def _draw_outline(axes: "Axes", mask: np.ndarray) -> None:
    """Draw a white line on a black one, which is visible on any image."""
    # The border closes outlines that run along the edge of the image.
    padded = np.pad(mask, 1).astype(float)
    places = [np.clip(np.arange(-1, length + 1), -0.5, length - 0.5) for length in mask.shape]
    for color, width in (("black", 1.5), ("white", 0.7)):
        axes.contour(places[1], places[0], padded, levels=[0.5], colors=[color], linewidths=[width])


def _wrapped(label: str, height: float) -> str:
    """Wrap a label into one line of ``height`` inches, or into two."""
    letters = max(6, int(height / _LETTER))
    lines = wrap(label, letters, break_long_words=True)
    return "\n".join(lines) if len(lines) <= 2 else "\n".join((lines[0], shorten(" ".join(lines[1:]), letters)))
