"""Label maps as images: an overlay for people, a label map for programs."""

import math
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from maskadapter.errors import MaskAdapterError
from maskadapter.results.colors import Color, colors_of
from maskadapter.results.counting import pixel_counts

_FILL = 0.42
_MOST_LABELS = 65_535  # 16 bits, 0 = none
_SMALLEST_TEXT = 10
_TINTED_AT_A_TIME = 1 << 23  # pixels, about
_LONGEST_NAME = 36
_TAGS_PER_CLASS = 3
# What is tried to fit a name into a segment: (text size, share of the plate that lies on the segment).
_FITS = ((1.0, 0.999), (0.8, 0.999), (0.65, 0.999), (0.65, 0.6))
# The built-in font holds Latin letters without accents. For other names the first of these that the system has and that
# knows every letter is taken (Linux, macOS, Windows).
_LINUX_FONTS = "DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc"
_SYSTEM_FONTS = *_LINUX_FONTS, "Arial Unicode.ttf", "PingFang.ttc", "arial.ttf", "msyh.ttc", "Nirmala.ttf"


def draw_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float] | None = None,
    text_size: int | None = None,
    colors: Sequence[Color] | None = None,
) -> Image.Image:
    """The image with its segments tinted, outlined and named, at its own size.

    image: (H, W, 3) uint8 RGB. labels: (H, W) int, index into ``names``, -1 = none: left as it is.
    scores: 0 to 1 for each name, shown behind it as a percentage. text_size: pixels; None goes by the image's size.
    colors: of the names; None: ``colors_of`` them.

    A name stands inside the largest segments of its class, where there is most room, or else in a list in a corner.
    """
    colors = colors_of(names) if colors is None else colors
    canvas = tinted(image, labels, colors)
    size = text_size or max(_SMALLEST_TEXT, round(0.033 * math.sqrt(labels.size)))
    # Places are searched on a coarser grid: a few pixels more or less do not matter to a name.
    step = max(1, max(labels.shape) // 512)
    coarse = labels[::step, ::step]
    taken = np.zeros(coarse.shape, np.float32)
    areas = pixel_counts(labels, -1, len(names) + 1)[1:]
    written: dict[tuple[str, Color], bool] = {}
    for label in sorted(np.flatnonzero(areas).tolist(), key=lambda label: -int(areas[label])):
        text, color = caption(names[label], None if scores is None else scores[label]), colors[label]
        here = _name_segments(canvas, coarse == label, taken, step, text, color, size)
        written[text, color] = here or written.get((text, color), False)  # several may have one name
    if unplaced := [entry for entry, somewhere in written.items() if not somewhere]:
        _draw_legend(canvas, unplaced, taken, step, round(0.85 * size))
    return canvas


def label_image(labels: np.ndarray, names: Sequence[str]) -> Image.Image:
    """Labels (H, W) int, index into ``names`` and -1 = none, as an image of the values index + 1, 0 = none: of 8 bits
    with the classes' colors as its palette; of 16 bits without one above 255 names. Raises MaskAdapterError above
    65,535."""
    check_label_image(len(names))
    values = np.add(labels, 1, dtype=np.uint16 if len(names) > 255 else np.uint8, casting="unsafe")
    image = Image.fromarray(values)
    if len(names) > 255:
        return image
    image.putpalette(bytes(value for color in ((0, 0, 0), *colors_of(names)) for value in color))
    return image


def check_label_image(count: int) -> None:
    """Raise MaskAdapterError where ``count`` classes are more than the values of a label map."""
    if count > _MOST_LABELS:
        raise MaskAdapterError(f"{count:,} classes came, and a label map holds {_MOST_LABELS:,}: leave out 'labels'")


def tinted(image: np.ndarray, labels: np.ndarray, colors: Sequence[Color]) -> Image.Image:
    """The image with its segments tinted and outlined, as ``draw_overlay`` does before it writes the names: translucent
    fills and, along every border, a smooth line in the color of either side. colors: of the labels."""
    canvas = Image.fromarray(image)
    width = max(1.2, 0.0026 * math.sqrt(labels.size))
    reach = math.ceil(3 * width) + 6  # how far the blur looks
    step = max(4 * reach, _TINTED_AT_A_TIME // labels.shape[1])
    for top in range(0, labels.shape[0], step):
        start = max(0, top - reach)
        part = slice(start, top + step + reach)
        strip = _tinted(image[part], labels[part], colors, width)
        canvas.paste(strip.crop((0, top - start, canvas.width, min(top - start + step, strip.height))), (0, top))
    return canvas


def _tinted(image: np.ndarray, labels: np.ndarray, colors: Sequence[Color], width: float) -> Image.Image:
    color = Image.fromarray(np.array([*colors, (0, 0, 0)], np.uint8)[labels])
    named = labels >= 0
    border = np.zeros(labels.shape, bool)
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differ = labels[one] != labels[other]
        border[one] |= differ
        border[other] |= differ
    line = Image.fromarray(border.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(width))
    # The blur turns the pixel staircase into a slope; cutting the slope steeply gives a crisp, smooth line.
    strength = np.asarray(line.point([min(max(0, (value - 56) * 4), 255) for value in range(256)]))
    canvas = Image.composite(color, Image.fromarray(image), Image.fromarray(named * np.uint8(255 * _FILL)))
    canvas.paste(color, mask=Image.fromarray(named * strength))
    return canvas


def _name_segments(
    canvas: Image.Image, mask: np.ndarray, taken: np.ndarray, step: int, text: str, color: Color, size: int
) -> bool:
    """Write ``text`` into the largest segments of ``mask`` (coarse grid), mark it in ``taken``; False without room."""
    segments, _ = ndimage.label(mask)
    areas = np.bincount(segments.ravel())[1:]
    written = False
    for index in np.argsort(-areas, kind="stable")[:_TAGS_PER_CLASS]:
        if areas[index] * step**2 < _SMALLEST_TEXT**2 or (written and areas[index] < 0.25 * areas.max()):
            break
        segment = segments == index + 1
        for scale, inside in _FITS:
            tag = name_tag(text, max(_SMALLEST_TEXT, round(scale * size)), color)
            height, width = -(-tag.height // step), -(-tag.width // step)
            center = _room(segment, taken, (height, width), inside)
            if center is None:
                continue
            left = min(max(0, center[1] * step - tag.width // 2), canvas.width - tag.width)
            top = min(max(0, center[0] * step - tag.height // 2), canvas.height - tag.height)
            canvas.paste(tag, (left, top), tag)
            taken[top // step : top // step + height + 1, left // step : left // step + width + 1] = 1
            written = True
            break
    return written


def _room(segment: np.ndarray, taken: np.ndarray, size: tuple[int, int], inside: float) -> tuple[int, int] | None:
    """(row, column) deepest in the segment where a box of ``size`` lies on it to the share ``inside`` and is free."""
    (rows, columns), (height, width) = ndimage.find_objects(segment.astype(np.uint8))[0], size
    if height > segment.shape[0] or width > segment.shape[1] or segment[rows, columns].sum() < inside * height * width:
        return None
    top, left = max(0, rows.start - height), max(0, columns.start - width)
    window = np.s_[top : rows.stop + height, left : columns.stop + width]
    part = segment[window]
    covered, blocked = (ndimage.uniform_filter(x, size, mode="constant") for x in (np.float32(part), taken[window]))
    fits = part & (covered >= inside) & (blocked < 1e-4)
    if not fits.any():
        return None
    # The frame of the image bounds a segment as well, hence the padding.
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(np.argmax(np.where(fits, depth, -1)), part.shape)
    return top + int(row), left + int(column)


def _draw_legend(
    canvas: Image.Image, entries: Sequence[tuple[str, Color]], taken: np.ndarray, step: int, size: int
) -> None:
    """A card with the names that found no room, in the corner or else at the side where it hides the fewest others."""
    size = max(_SMALLEST_TEXT, size)
    gap = max(2, size // 3)
    margin = 2 * gap
    room = (int(0.7 * canvas.height) - 2 * margin) // (round(1.3 * size) + gap)
    if len(entries) > room:
        kept = max(0, room - 1)
        entries = [*entries[:kept], (f"and {len(entries) - kept} more", (90, 90, 90))]
    tags = [name_tag(text, size, color) for text, color in entries]
    width = max(tag.width for tag in tags) + 2 * gap
    height = sum(tag.height + gap for tag in tags) + gap
    if width + 2 * margin > canvas.width or height + 2 * margin > canvas.height:
        return

    def hidden(place: tuple[int, int]) -> float:
        top, left = place
        return taken[top // step : (top + height) // step + 1, left // step : (left + width) // step + 1].sum()

    tops, lefts = (canvas.height - height - margin, margin), (margin, canvas.width - width - margin)
    down, along = range(margin, tops[0], gap), range(margin, lefts[1], gap)
    # The first of the best is taken: a corner, if one is free.
    top, left = min([*product(tops, lefts), *product(down, lefts), *product(tops, along)], key=hidden)
    card = _rounded((width, height), gap, (24, 24, 24, 190))
    canvas.paste(card, (left, top), card)
    for tag in tags:
        canvas.paste(tag, (left + gap, top + gap), tag)
        top += tag.height + gap


def caption(name: str, score: float | None = None) -> str:
    """A class name in one line of at most 36 signs, with its score as a percentage."""
    # Lone surrogates have no glyph in any font and stop the text layout.
    text = " ".join(name.encode("utf-8", "replace").decode("utf-8").split())
    if len(text) > _LONGEST_NAME:
        text = text[: _LONGEST_NAME - 3].rstrip() + "..."
    return text if score is None else f"{text} {score:.0%}"


def name_tag(text: str, size: int, color: Color) -> Image.Image:
    """The text on a rounded plate of its class's color, RGBA; black or white, whichever stands out more."""
    face = _face("".join(sorted(set(text))))
    font = ImageFont.load_default(size) if face is None else ImageFont.truetype(face, size)
    pad = max(2, round(0.35 * size))
    plate = _rounded((math.ceil(font.getlength(text)) + 2 * pad, round(1.3 * size)), pad, (*color, 235))
    # Source: WCAG 2.2, relative luminance; at 0.18 black and white text have the same contrast.
    linear = [(value / 255) ** 2.2 for value in color]
    bright = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18
    ImageDraw.Draw(plate).text((pad, plate.height / 2), text, "black" if bright else "white", font, anchor="lm")
    return plate


def _rounded(size: tuple[int, int], radius: int, color: tuple[int, int, int, int]) -> Image.Image:
    """A plate with smooth round corners, RGBA; Pillow draws them jagged, so they are drawn four times larger."""
    mask = Image.new("L", (4 * size[0], 4 * size[1]))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), 4 * radius, color[3])
    plate = Image.new("RGBA", size, color)
    plate.putalpha(mask.resize(size, Image.Resampling.BOX))
    return plate


@cache
def _face(letters: str) -> str | None:
    """File name of a font that has all the letters; None is the built-in one, also when no font has them."""
    for face in (None, *_SYSTEM_FONTS):
        try:
            font = ImageFont.load_default(16) if face is None else ImageFont.truetype(face, 16)
        except OSError:
            continue
        absent = bytes(font.getmask("\U0010ffff"))
        if all(letter.isspace() or bytes(font.getmask(letter)) != absent for letter in letters):
            return face
    return None
