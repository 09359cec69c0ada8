"""A page for diagrams: boxes, arrows and small pictures, placed in pixels from the top left corner.

The text becomes outlines, so that it looks the same wherever the SVG is shown; the same drawing is the same bytes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyBboxPatch, Patch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline

from maskadapter.files import write_atomically

Point = tuple[float, float]
Kind = Literal["frozen", "trained", "plain", "value"]
Result = Literal["semantic", "panoptic", "instances"]

WIDTH = 800
"""Pixels: about what a page on GitHub is wide, so that the text is read at the size at which it is drawn."""

TITLE, TEXT, SMALL = 12.0, 11.0, 10.5
"""Heights of letters in pixels."""

_POINTS = 0.75  # of a pixel; matplotlib measures letters and lines in them
_INK, _LINE = "#222222", "#4d4d4d"
_STYLE: Any = {"svg.hashsalt": "maskadapter", "svg.fonttype": "path", "text.parse_math": False}

# Fill, edge, width of the edge. Blue and vermilion of Okabe and Ito 2008; the edge's width tells them apart in grey.
_KINDS: dict[Kind, tuple[str, str, float]] = {
    "frozen": ("#e1eef7", "#0072b2", 1.2),
    "trained": ("#fde6d5", "#d55e00", 2.6),
    "plain": ("#f1f1f1", "#777777", 1.0),
    "value": ("#ffffff", "#999999", 1.0),
}
_TAGS: dict[Kind, str] = {"frozen": "#00507d", "trained": "#9a4400"}

_MASK_IN, _MASK_OUT = "#ffffff", "#3d3d3d"
# From light to dark, so that the order of the levels needs no colour.
_HEAT = ("#fff7ec", "#fdd8a8", "#fc9f67", "#d7301f", "#7f0000")
_BLUES = ("#f3f8fc", "#cfe1f2", "#93c4de", "#4a97c9", "#1764ab")

HOUSE, TREE, BUSH, SKY, GRASS = "house", "tree", "bush", "sky", "grass"
_CLASSES = {SKY: "#56b4e9", GRASS: "#f0e442", HOUSE: "#d55e00", TREE: "#009e73", BUSH: "#009e73"}


@dataclass(frozen=True)
class Box:
    """A place on the sheet. left, top, width, height: pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def x(self) -> float:
        return self.left + self.width / 2

    @property
    def y(self) -> float:
        return self.top + self.height / 2

    def at(self, x: float, y: float) -> Point:
        """Shares of the width and the height -> pixels."""
        return self.left + x * self.width, self.top + y * self.height


class Sheet:
    """An empty page ``WIDTH`` pixels wide and ``height`` high."""

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(WIDTH / 96, height / 96), dpi=96, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        self.axes.axis("off")

    def save(self, path: Path) -> None:
        """An SVG, or whatever else the ending says."""
        undated = {"Date": None, "Creator": None} if path.suffix == ".svg" else {}
        with rc_context(_STYLE), write_atomically(path) as temporary:
            self.figure.savefig(temporary, format=path.suffix[1:], metadata=undated, dpi=96)

    # Boxes, words, lines

    def box(
        self,
        place: Box,
        title: str = "",
        text: str = "",
        kind: Kind = "plain",
        tag: str | None = None,
    ) -> Box:
        """A box with a title and lines below it. tag: its last line; None for the kind where that is a state."""
        fill, edge, width = _KINDS[kind]
        self._rounded(place, 5, facecolor=fill, edgecolor=edge, linewidth=width * _POINTS)
        tag = (kind if kind in _TAGS else "") if tag is None else tag
        lines = [(line, TITLE, "bold", "normal", _INK) for line in title.splitlines()]
        lines += [(line, TEXT, "normal", "normal", _INK) for line in text.splitlines()]
        lines += [(line, SMALL, "normal", "italic", _TAGS.get(kind, _INK)) for line in tag.splitlines()]
        y = place.y - sum(1.28 * size for _, size, *_ in lines) / 2
        for line, size, weight, style, colour in lines:
            y += 0.64 * size
            self.text((place.x, y), line, size, weight=weight, style=style, color=colour)
            y += 0.64 * size
        return place

    def text(self, at: Point, text: str, size: float = TEXT, align: str = "center", **style: Any) -> None:
        """Lines of text around ``at``: in the middle of it, or ``left`` or ``right`` of its x."""
        self.axes.text(
            *at, text, size=size * _POINTS, ha=align, va="center_baseline", linespacing=1.25, **{"color": _INK, **style}
        )

    def below(self, place: Box, text: str) -> None:
        """Lines of text under a box."""
        for index, line in enumerate(text.splitlines()):
            self.text((place.x, place.bottom + 13 + 14 * index), line)

    def _rounded(self, place: Box, corner: float, **style: Any) -> None:
        shape = f"round,pad=0,rounding_size={corner}"
        self._add(FancyBboxPatch((place.left, place.top), place.width, place.height, boxstyle=shape, **style))

    def frame(self, place: Box, title: str) -> Box:
        """A dashed line around several boxes, its title on top."""
        dashes = (0, (4, 3))
        self._rounded(place, 7, fill=False, edgecolor="#888888", linewidth=0.9 * _POINTS, linestyle=dashes)
        self.text((place.x, place.top - 9), title, TITLE, weight="bold")
        return place

    def arrow(self, *points: Point, head: bool = True) -> None:
        """A line through ``points`` whose tip touches the last."""
        (x0, y0), (x1, y1) = points[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        end = (x1 - 6 * dx, y1 - 6 * dy) if head else (x1, y1)
        line = PathPatch(Outline([*points[:-1], end]), fill=False, edgecolor=_LINE, linewidth=1.4 * _POINTS)
        line.set_joinstyle("round")
        self._add(line)
        if head:
            back = (x1 - 8 * dx, y1 - 8 * dy)
            sides = [(back[0] - 4 * dy, back[1] + 4 * dx), (back[0] + 4 * dy, back[1] - 4 * dx)]
            self._add(Polygon([(x1, y1), *sides], facecolor=_LINE, edgecolor="none"))

    def across(self, *boxes: Box) -> None:
        """Arrows from the right side of each box to the left side of the next, level with the next one's middle."""
        for one, other in pairwise(boxes):
            self.arrow((one.right, other.y), (other.left, other.y))

    def dot(self, at: Point, sign: str) -> Box:
        """A sign in a circle, for sums."""
        place = Box(at[0] - 12, at[1] - 12, 24, 24)
        self._add(Ellipse(at, 24, 24, facecolor="#f1f1f1", edgecolor="#777777", linewidth=_POINTS))
        self.text((at[0], at[1] - 1.5), sign, 15, weight="bold")
        return place

    # Small pictures

    def picture(self, place: Box) -> Box:
        """What the diagrams are about: a house, a tree and a bush."""
        self._fill(place, "#cfe8f7")
        self._part(place, GRASS, "#a9cf86")
        self._part(place, TREE, "#3f8f4f")
        self._part(place, BUSH, "#5ba85f")
        self._part(place, HOUSE, "#d9b48a")
        for x, y, width, height, colour in ((0.26, 0.6, 0.1, 0.22, "#7a4b2a"), (0.16, 0.5, 0.07, 0.12, "#f7f4d8")):
            self._add(Rectangle(place.at(x, y), width * place.width, height * place.height, facecolor=colour))
        return self._outline(place)

    def mask(self, place: Box, *parts: str) -> Box:
        """White inside, dark outside."""
        self._fill(place, _MASK_IN if SKY in parts else _MASK_OUT)
        if SKY in parts:
            for other in (GRASS, TREE, BUSH, HOUSE):
                self._part(place, other, _MASK_OUT)
        for part in parts:
            if part != SKY:
                self._part(place, part, _MASK_IN)
        return self._outline(place)

    def classes(self, place: Box, result: Result) -> Box:
        """The picture as one of the three results: a colour for each class, for each segment, for each thing."""
        things = (TREE, BUSH, HOUSE)
        self._fill(place, "#ffffff" if result == "instances" else _CLASSES[SKY])
        if result != "instances":
            self._part(place, GRASS, _CLASSES[GRASS])
        for part in things:
            colour = "#cc79a7" if part == BUSH and result != "semantic" else _CLASSES[part]
            edge = {"edgecolor": "#222222", "linewidth": _POINTS} if result != "semantic" else {}
            self._part(place, part, colour, **edge)
        return self._outline(place)

    def points(self, place: Box, count: int = 7) -> Box:
        """The picture under a grid of points."""
        self.picture(place)
        for row in range(count):
            for column in range(count):
                at = place.at((column + 0.5) / count, (row + 0.5) / count)
                self._add(Ellipse(at, 3.6, 3.6, facecolor="#d55e00", edgecolor="#ffffff", linewidth=0.4))
        return place

    def activation(self, place: Box, peaks: Sequence[tuple[float, float, float]]) -> Box:
        """A map of cells with bumps at ``peaks``: x, y and radius as shares."""

        def height(x: float, y: float) -> float:
            return max(math.exp(-((x - px) ** 2 + (y - py) ** 2) / radius**2) for px, py, radius in peaks)

        return self._cells(place, height, _HEAT)

    def features(self, place: Box, phase: float = 0.0) -> Box:
        """A map of cells with values of no meaning."""
        return self._cells(
            place, lambda x, y: 0.5 + 0.5 * math.sin(9.1 * x + phase) * math.cos(7.7 * y - 2 * phase), _BLUES
        )

    def stack(self, place: Box, draw: Sequence[Callable[[Box], Any]], step: float = 6) -> Box:
        """Several small pictures, one behind the other, the last in front; together they fill ``place``."""
        shift = step * (len(draw) - 1)
        for index, one in enumerate(draw):
            left, top = place.left + shift - index * step, place.top + index * step
            one(Box(left, top, place.width - shift, place.height - shift))
        return place

    def _cells(self, place: Box, height: Callable[[float, float], float], colours: Sequence[str]) -> Box:
        columns, rows = 8, 6
        self._fill(place, colours[0])
        for level, colour in enumerate(colours[1:], start=1):
            vertices: list[Point] = []
            for row in range(rows):
                for column in range(columns):
                    share = height((column + 0.5) / columns, (row + 0.5) / rows)
                    if min(int(share * len(colours)), len(colours) - 1) == level:
                        corners = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
                        vertices += [place.at((column + x) / columns, (row + y) / rows) for x, y in corners]
            if vertices:
                codes = [Outline.MOVETO, *[Outline.LINETO] * 3, Outline.CLOSEPOLY] * (len(vertices) // 5)
                self._add(PathPatch(Outline(vertices, codes), facecolor=colour, edgecolor="none"))
        return self._outline(place)

    def _part(self, place: Box, part: str, colour: str, **style: Any) -> None:
        style = {"edgecolor": "none", **style}
        self._add(PathPatch(_shape(place, part), facecolor=colour, **style))

    def _fill(self, place: Box, colour: str) -> None:
        self._add(Rectangle((place.left, place.top), place.width, place.height, facecolor=colour, edgecolor="none"))

    def _outline(self, place: Box) -> Box:
        self._add(
            Rectangle(
                (place.left, place.top), place.width, place.height, fill=False, edgecolor="#555555", linewidth=0.7
            )
        )
        return place

    def _add(self, patch: Patch) -> None:
        patch.set_clip_on(False)
        self.axes.add_patch(patch)


def _shape(place: Box, part: str) -> Outline:
    """The outline of a part of the picture; a thing is one outline."""
    if part == GRASS:
        points = [(0.0, 0.7), (1.0, 0.64), (1.0, 1.0), (0.0, 1.0)]
    elif part == HOUSE:
        points = [(0.1, 0.42), (0.05, 0.42), (0.28, 0.14), (0.51, 0.42), (0.46, 0.42), (0.46, 0.82), (0.1, 0.82)]
    elif part == TREE:
        points = [(0.73, 0.85), (0.67, 0.85), *_arc(0.7, 0.38, 0.14, 0.25, 100, 440)]
    elif part == BUSH:
        points = _arc(0.875, 0.72, 0.1, 0.14, 0, 360)
    else:
        raise ValueError(f"no outline of {part}")
    return Outline([place.at(x, y) for x, y in [*points, points[0]]], closed=True)


def _arc(x: float, y: float, across: float, down: float, start: int, stop: int) -> list[Point]:
    angles = [math.radians(angle) for angle in range(start, stop + 1, 20)]
    return [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]
