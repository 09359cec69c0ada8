"""The colors of classes: easy to tell apart, and the same in every image."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import product

Color = tuple[int, int, int]
"""(r, g, b), 0 to 255."""

# Seven colors of Okabe and Ito (2008), then each next the sRGB color that is farthest from all before it: CIE Lab
# distance, the smallest of normal, protanopic and deuteranopic sight (Machado et al. 2009).
_PALETTE = tuple(
    bytes.fromhex(
        "e69f00 56b4e9 009e73 f0e442 0072b2 d55e00 cc79a7 374cf3 b8e58c b82f33 3888ff 92e8c5"
        "6ee8f7 9ba759 a9357c 5853c8 dfcd60 ff8696 007338 4ea5f8 bb2e00 de2f5c ca00a4 ffa5d6"
    )[index : index + 3]
    for index in range(0, 72, 3)
)
# With this salt the commonest words get colors of their own: sky and water blue, grass and trees green.
_SALT = (937417).to_bytes(4, "big")
# Once the palette is used up: its colors mixed with white (to 255) or black (to 0), by what share; first in four steps
# that are easy to tell apart, then in 50 that are not, far from each other by the golden ratio.
_FINER = tuple(round(0.15 + 0.72 * (step * 0.618034 % 1), 3) for step in range(1, 26))
_SHADES = ((0, 0.0), (255, 0.4), (0, 0.4), (255, 0.7), (0, 0.65), *((end, one) for one in _FINER for end in (255, 0)))


def colors_of(names: Sequence[str]) -> tuple[Color, ...]:
    """A color for each class of a list: its name's own, whatever its case and the other names, or the next one that is
    free. 24 colors of the palette come first, then lighter and darker ones; above 1,320 classes they repeat."""
    wishes = [_wish(name) for name in names]
    chosen: dict[int, tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    places: dict[int, Iterator[tuple[int, int]]] = {}  # in which a wish looks for a free one, each looked at once
    for index, wish in enumerate(wishes):
        if (0, wish) not in taken:  # every name that can have its own color has it before others look for free ones
            chosen[index] = (0, wish)
            taken.add((0, wish))
    for index, wish in enumerate(wishes):
        if index not in chosen:
            if len(taken) == len(_SHADES) * len(_PALETTE):
                taken.clear()
                places.clear()
            if wish not in places:
                places[wish] = product(range(len(_SHADES)), (*range(wish, len(_PALETTE)), *range(wish)))
            chosen[index] = next(place for place in places[wish] if place not in taken)
            taken.add(chosen[index])
    return tuple(_shaded(*chosen[index]) for index in range(len(names)))


def _wish(name: str) -> int:
    digest = blake2b(name.strip().casefold().encode("utf-8", "replace"), digest_size=4, salt=_SALT).digest()
    return int.from_bytes(digest, "big") % len(_PALETTE)


def _shaded(shade: int, place: int) -> Color:
    end, share = _SHADES[shade]
    red, green, blue = (round(value + share * (end - value)) for value in _PALETTE[place])
    return red, green, blue
