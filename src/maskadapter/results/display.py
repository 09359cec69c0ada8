"""How a result shows itself: in one line, in a notebook, in a window, as a figure."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageShow

from maskadapter.errors import MaskAdapterError
from maskadapter.results.colors import colors_of
from maskadapter.results.overlay import caption, tinted
from maskadapter.results.result_segment import ResultSegment
from maskadapter.system.extras import load_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_SIDE = 1024  # pixels of an image in a notebook
_MOST_NAMED = 8  # classes in one line
_MOST_LISTED = 24  # classes in a legend


def counted(segments: Iterable[ResultSegment]) -> str:
    """The classes that occur and their numbers of segments, ``2 cat, 1 wall``, in one line."""
    found = Counter(segment.class_name for segment in segments).most_common()
    names = [f"{count} {caption(name)}" for name, count in found[:_MOST_NAMED]]
    return ", ".join([*names, *([f"and {len(found) - _MOST_NAMED} more classes"] if found[_MOST_NAMED:] else [])])


def png(image: Image.Image) -> bytes:
    """An image as a PNG for a notebook, its longer side at most 1024 pixels."""
    small = image.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    with BytesIO() as file:
        small.save(file, format="PNG")
        return file.getvalue()


def show(image: Image.Image) -> None:
    """Show an image in the notebook or in the system's viewer; MaskAdapterError where there is neither."""
    if _in_notebook():
        shown = sys.modules["IPython"].display
        shown.display(shown.Image(png(image)))  # an image itself would come in its full size, twice
        return
    windows = not sys.platform.startswith("linux") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not windows or not ImageShow.show(image):
        raise MaskAdapterError("there is no window to show an image in: save the result and open its overlay")


def plot(image: np.ndarray, labels: np.ndarray, names: Sequence[str], segments: Iterable[ResultSegment]) -> "Figure":
    """A figure of matplotlib with the image, tinted by labels (H, W) int, -1 = none, and a legend of the classes of
    ``segments`` with their numbers. In a notebook it shows as the value of a cell, not once more on its own."""
    pyplot, colors = load_extra("matplotlib.pyplot", "plot"), colors_of(names)
    number = Counter(segment.label for segment in segments if segment.label >= 0)
    listed = [
        (colors[label], f"{caption(names[label])} ({count})") for label, count in number.most_common(_MOST_LISTED)
    ]
    if rest := len(number) - len(listed):
        listed.append(((255, 255, 255), f"and {rest} more classes"))
    height = max(7 * image.shape[0] / image.shape[1], 0.5 + 0.25 * len(listed))  # inches, with room for the legend
    figure, axes = pyplot.subplots(figsize=(9, min(height, 12)), layout="constrained")
    axes.imshow(tinted(image, labels, colors))
    axes.set_axis_off()
    if listed:
        plates = [pyplot.Rectangle((0, 0), 1, 1, color=np.array(color) / 255) for color, _ in listed]
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False}
        for text in axes.legend(plates, [name for _, name in listed], **place).get_texts():
            text.set_parse_math(False)  # a dollar sign in a name starts no formula
    if _in_notebook():
        pyplot.close(figure)
    return figure


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return hasattr(ipython and ipython.get_ipython(), "kernel")
