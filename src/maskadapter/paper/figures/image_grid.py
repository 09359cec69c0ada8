"""Draw images in rows and columns, with a title over every column and a label beside every row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from maskadapter.paper.figures.page import DPI, TEXT, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 20
"""Rows that fit on a page."""
_GAP, _LINE = 0.04, 0.13  # inches
_MOST_LINES = 3  # of a title
_WIDEST = 2.4  # of an image: two of them do not fill the page
_TALLEST = 1.5  # times its width
_LETTER = 0.062  # inches of one letter, roughly


@dataclass(frozen=True)
class Row:
    """One row of the grid.

    images: (H, W, 3) uint8, one for each column; None leaves it empty. label: at the left. outlines: for each image the
    mask (H, W) bool whose outline is drawn on it. notes: a short text in the corner of each image.
    """

    images: Sequence[np.ndarray | None]
    label: str = ""
    outlines: Sequence[np.ndarray] = ()
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
    titles = [_wrapped(title, wide, _MOST_LINES) for title in titles]
    margin, head = (max(map(_thickness, texts)) for texts in (labels, titles))
    head += _GAP if head else 0
    width, height = margin + columns * (wide + _GAP), head + sum(heights) + _GAP * len(rows)
    with page(output, width, height, layout=None) as figure:
        top = height - head
        for row, (label, tall, content) in enumerate(zip(labels, heights, rows, strict=True)):
            for column, image in enumerate(content.images):
                left = margin + column * (wide + _GAP)
                if row == 0:
                    middle = (left + wide / 2) / width
                    figure.text(middle, 1 - 0.5 * head / height, titles[column], ha="center", va="center", size=7)
                if image is None:
                    continue
                axes = figure.add_axes((left / width, (top - tall) / height, wide / width, tall / height))
                axes.set_axis_off()
                axes.imshow(image)
                if column < len(content.outlines) and content.outlines[column].any():
                    _draw_outline(axes, content.outlines[column])
                if column < len(content.notes):
                    note = _wrapped(content.notes[column], wide, 1)
                    text = axes.text(0.03, 0.04, note, color="w", size=6.5, transform=axes.transAxes)
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


def _thickness(text: str) -> float:
    """Inches across the lines of a text."""
    return (1 + text.count("\n")) * _LINE if text else 0.0


def _wrapped(text: str, length: float, most: int = 2) -> str:
    """Wrap a text into lines of ``length`` inches, ``most`` at most."""
    letters = max(6, int(length / _LETTER))
    lines = wrap(text, letters, max_lines=most, placeholder=" ...", break_on_hyphens=False)
    return "\n".join(lines)
