"""Draw the diagrams of the documentation: ``overview.svg``, ``mask-adapter.svg`` and ``sam.svg``.

``python scripts/diagrams.py`` writes them to ``docs/images``; ``--output FOLDER`` to another folder, ``--png`` as PNG.
The same version of matplotlib writes the same bytes.
"""

# Times signs and Greek letters are drawn as the paper has them:
# ruff: noqa: RUF001

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sheet import BUSH, GRASS, HOUSE, SKY, SMALL, TREE, Box, Kind, Result, Sheet

IMAGES = Path(__file__).parents[1] / "docs" / "images"

# Where three of the adapter's maps peak: x, y, radius.
PEAKS = (((0.2, 0.7, 0.3),), ((0.28, 0.3, 0.28), (0.42, 0.7, 0.2)), ((0.3, 0.5, 0.35),))


def columns(widths: list[float], gap: float, left: float) -> list[tuple[float, float]]:
    """Left edge and width of boxes beside each other."""
    places = []
    for width in widths:
        places.append((left, width))
        left += width + gap
    return places


def overview() -> Sheet:
    """From a picture and words to the three results."""
    sheet = Sheet(480)
    lanes = {"top": 32.0, "middle": 187.0, "bottom": 342.0}
    cells = columns([86, 98, 98, 94, 94, 110], gap=20, left=8)

    def place(column: int, lane: str, height: float = 94) -> Box:
        left, width = cells[column]
        return Box(left, lanes[lane] + (94 - height) / 2, width, height)

    picture = sheet.picture(place(0, "top", 66))
    sheet.below(picture, "picture")
    tower = sheet.box(place(1, "top"), "CLIP's\nimage tower", "convolutions", "frozen")
    generator = sheet.box(place(2, "top"), "mask\ngenerator", "queries", "frozen")
    masks = sheet.stack(place(3, "top", 66), [partial(mask, sheet, part) for part in (SKY, TREE, HOUSE)])
    sheet.below(masks, "masks")
    logits = sheet.box(place(4, "top", 66), "class logits", "own vectors\n× text", "value")
    proposals = sheet.frame(around(masks, logits, below=25), "N proposals")
    inside = sheet.box(place(5, "top"), "generator's\nopinion", "in-vocabulary\n(N, K + 1)", "value")

    features = sheet.stack(place(1, "middle", 66), [partial(sheet.features, phase=one) for one in (0.0, 1.3, 2.6)])
    sheet.below(features, "features")
    adapter = sheet.box(place(2, "middle"), "Mask-\nAdapter", "predicts where\nto pool", "trained")
    maps = sheet.stack(place(3, "middle", 66), [partial(sheet.activation, peaks=one) for one in PEAKS])
    sheet.below(maps, "M maps a mask")
    pooling = sheet.box(place(4, "middle"), "pooling", "by each map,\nCLIP's head,\nmean", "frozen")
    ensemble = sheet.box(place(5, "middle"), "geometric\nensemble", "CLIP's weight:\nα for seen,\nβ for unseen")

    words = sheet.box(place(0, "bottom"), "words", "house,\ntree | bush,\nsky, grass", "value")
    templates = sheet.box(place(1, "bottom"), "templates", "“a photo of\na tree.”, ...")
    text_tower = sheet.box(place(2, "bottom"), "CLIP's\ntext tower", "", "frozen")
    rows = sheet.box(place(3, "bottom"), "text\nembeddings", "one a word\n(S, D)", "value")
    cosine = sheet.box(place(4, "bottom"), "cosine", "best synonym\nof each class")
    outside = sheet.box(place(5, "bottom"), "CLIP's\nopinion", "out-of-vocabulary\n(N, K)", "value")

    sheet.across(picture, tower, generator, beside(proposals, generator))
    sheet.arrow((logits.right, inside.y), (inside.left, inside.y))
    sheet.arrow((tower.x, tower.bottom), (tower.x, features.top))
    sheet.across(features, adapter, maps, pooling)
    turn = (proposals.bottom + adapter.top) / 2
    sheet.arrow((masks.x, proposals.bottom), (masks.x, turn), (adapter.x, turn), (adapter.x, adapter.top))
    under, start, end = features.bottom + 33, features.left + 8, pooling.left + 18
    sheet.arrow((start, features.bottom), (start, under), (end, under), (end, pooling.bottom))
    sheet.text(((start + end) / 2, under + 11), "as they are before CLIP's projection", SMALL)
    sheet.arrow((pooling.x + 10, pooling.bottom), (pooling.x + 10, cosine.top))
    sheet.text((pooling.x + 17, (pooling.bottom + cosine.top) / 2 - 4), "embeddings\n(N, D)", SMALL, "left")
    sheet.across(words, templates, text_tower, rows, cosine, outside)
    sheet.arrow((inside.x, inside.bottom), (inside.x, ensemble.top))
    sheet.arrow((outside.x, outside.top), (outside.x, ensemble.bottom))

    turn = ensemble.right + 11
    results: tuple[Result, ...] = ("semantic", "panoptic", "instances")
    for top, result in zip(lanes.values(), results, strict=True):
        shown = sheet.classes(Box(718, top + 18, 74, 58), result)
        sheet.below(shown, result)
        sheet.arrow((ensemble.right, ensemble.y), (turn, ensemble.y), (turn, shown.y), (shown.left, shown.y))

    legend(sheet, 8, 206, down=24)
    sheet.text((400, 464), "N proposals, M = 16 maps of each, K classes and void, S synonyms in all, D channels", SMALL)
    return sheet


def mask_adapter() -> Sheet:
    """Inside the adapter, and what is done with its maps."""
    sheet = Sheet(500)
    cells = columns([78, 78, 78, 78, 24, 78, 112, 88], gap=22, left=16)
    top, height = 42.0, 90.0

    def layer(column: int, title: str, text: str, shape: str) -> Box:
        left, width = cells[column]
        box = sheet.box(Box(left, top, width, height), title, text, "trained", tag="")
        sheet.below(box, shape)
        return box

    given = mask(sheet, HOUSE, Box(cells[0][0], top + 14, cells[0][1], 62))
    sheet.below(given, "binary mask\n(1, 4h, 4w)")
    first = layer(1, "conv 3×3", "stride 2\n1 → 4\nLN, GELU", "(4, 2h, 2w)")
    second = layer(2, "conv 3×3", "stride 2\n4 → 16\nLN, GELU", "(16, h, w)")
    third = layer(3, "conv 1×1", "16 → D", "(D, h, w)")
    added = sheet.dot((cells[4][0] + 12, top + height / 2), "+")
    fuse = layer(5, "conv 1×1", "D → 768", "(768, h, w)")
    blocks = layer(6, "3 ConvNeXt\nblocks", "7×7 depth-wise,\nLN, MLP × 4,\nscale, residual", "(768, h, w)")
    last = layer(7, "LN,\nconv 1×1", "768 → 16", "(16, h, w)")
    whole = sheet.frame(around(first, last, above=12, below=26), "Mask-Adapter, trained")
    sheet.across(given, first, second, third, added, fuse, blocks, last)

    dense = stack_of_features(sheet, Box(16, 212, 86, 66), 0.0)
    sheet.below(dense, "CLIP's features\n(C, h, w)")
    head = sheet.box(Box(132, 206, 92, 78), "CLIP's head", "in every cell\nC → D", "frozen")
    projected = stack_of_features(sheet, Box(254, 212, 86, 66), 1.1)
    sheet.below(projected, "projected\n(D, h, w)")
    sheet.across(dense, head, projected)
    sheet.arrow((projected.right, projected.y), (added.x, projected.y), (added.x, added.bottom))
    sheet.text((added.x + 9, 196), "the same for\nall N masks", SMALL, "left")

    weigh = sheet.box(Box(662, 206, 122, 78), "sigmoid", "each map divided\nby its sum")
    maps = sheet.stack(Box(526, 206, 100, 78), [partial(sheet.activation, peaks=one) for one in PEAKS])
    sheet.below(maps, "M = 16 maps,\nwhere to pool")
    sheet.arrow((last.x, whole.bottom), (last.x, weigh.top))
    sheet.arrow((weigh.left, weigh.y), (maps.right, weigh.y))

    pool = sheet.box(Box(132, 372, 122, 78), "pooling", "sum of features\n× map")
    each = sheet.box(Box(297, 372, 122, 78), "CLIP's head", "each vector\nC → D", "frozen")
    mean = sheet.box(Box(463, 372, 122, 78), "mean", "of the 16")
    embedding = sheet.box(Box(628, 372, 156, 78), "embedding\nof the mask", "to compare with text", "value")
    for box, shape in ((pool, "(16, C)"), (each, "(16, D)"), (mean, "(D)")):
        sheet.below(box, shape)
    turn = maps.bottom + 54
    sheet.arrow((maps.x, maps.bottom + 38), (maps.x, turn), (pool.x, turn), (pool.x, pool.top))
    sheet.arrow((dense.x, dense.bottom + 38), (dense.x, pool.y), (pool.left, pool.y))
    sheet.across(pool, each, mean, embedding)
    sheet.text(
        (400, 486),
        "Shapes are of one mask of one picture; FC-CLIP on ConvNeXt-L: C = 1536, D = 768, h w at stride 32",
        SMALL,
    )
    return sheet


def sam() -> Sheet:
    """SAM's masks, named by an adapter that was not trained for them."""
    sheet = Sheet(470)
    height = 88.0
    picture = sheet.points(Box(10, 43, 100, 75))
    sheet.below(picture, "32 × 32 points")
    network = sheet.box(Box(136, 36, 92, height), "SAM", "masks for\neach point", "frozen")
    sure = sheet.box(Box(254, 36, 118, height), "thresholds", "IoU as it guesses\n> 0.88,\nstability > 0.95")
    distinct = sheet.box(Box(398, 36, 116, height), "box NMS", "of boxes that\noverlap > 0.7\nthe surest stays")
    masks = sheet.stack(Box(550, 46, 100, 66), [partial(mask, sheet, part) for part in (GRASS, BUSH, TREE, HOUSE)])
    sheet.below(masks, "SAM's masks")
    rest = mask(sheet, SKY, Box(682, 52, 88, 60))
    sheet.below(rest, "what none holds")
    found = sheet.frame(around(masks, rest, below=25, sides=13), "N masks without names")
    sheet.text(((masks.right + rest.left) / 2, masks.y + 3), "+", 15, weight="bold")
    sheet.across(picture, network, sure, distinct, beside(found, distinct))

    tower = sheet.box(Box(10, 202, 100, height), "CLIP's\nimage tower", "", "frozen")
    adapter = sheet.box(
        Box(136, 202, 118, height), "Mask-Adapter", "and pooling", "trained", "trained before,\nnot for SAM"
    )
    cosine = sheet.box(Box(280, 202, 104, height), "cosine", "best synonym\nof each class")
    probs = sheet.box(Box(410, 202, 112, height), "names", "class\nprobabilities\n(N, K)", "value")
    votes = sheet.box(Box(548, 202, 130, height), "votes", "sum over masks of\nclass × mask\nprobability")
    result = sheet.classes(Box(704, 213, 86, 66), "semantic")
    sheet.below(result, "semantic")
    sheet.across(tower, adapter, cosine, probs, votes, result)
    sheet.arrow((picture.x, picture.bottom + 22), (picture.x, tower.top))
    turn = (found.bottom + adapter.top) / 2
    sheet.arrow((masks.x - 12, found.bottom), (masks.x - 12, turn), (adapter.x, turn), (adapter.x, adapter.top))
    sheet.arrow((votes.x + 20, found.bottom), (votes.x + 20, votes.top))

    words = sheet.box(Box(10, 352, 100, height), "words", "house,\ntree | bush,\nsky, grass", "value")
    templates = sheet.box(Box(136, 352, 118, height), "templates", "“a photo of\na tree.”, ...")
    text_tower = sheet.box(Box(280, 352, 104, height), "CLIP's\ntext tower", "", "frozen")
    sheet.across(words, templates, text_tower)
    sheet.arrow((text_tower.x, text_tower.top), (text_tower.x, cosine.bottom))
    notes = "SAM says nothing of names: there is no ensemble,\nand no void. Nothing is trained for this."
    for index, line in enumerate(notes.splitlines()):
        sheet.text((440, 366 + 16 * index), line, align="left")
    legend(sheet, 440, 408, 110)
    return sheet


def mask(sheet: Sheet, part: str, place: Box) -> Box:
    return sheet.mask(place, part)


def stack_of_features(sheet: Sheet, place: Box, phase: float) -> Box:
    return sheet.stack(place, [partial(sheet.features, phase=phase + one) for one in (0.0, 1.3, 2.6)])


def beside(place: Box, other: Box) -> Box:
    """``place`` at the height of another box, so that an arrow between the two is level."""
    return Box(place.left, other.top, place.width, other.height)


def around(first: Box, last: Box, above: float = 10, below: float = 10, sides: float = 8) -> Box:
    """What holds two boxes side by side, with a margin."""
    top, bottom = min(first.top, last.top) - above, max(first.bottom, last.bottom) + below
    return Box(first.left - sides, top, last.right - first.left + 2 * sides, bottom - top)


def legend(sheet: Sheet, left: float, top: float, across: float = 0, down: float = 0) -> None:
    """What the boxes' colours say. across, down: pixels from one to the next."""
    kinds: tuple[tuple[Kind, str], ...] = (("frozen", "frozen"), ("trained", "trained"), ("plain", "no weights"))
    for index, (kind, text) in enumerate(kinds):
        box = sheet.box(Box(left + across * index, top + down * index, 18, 14), kind=kind, tag="")
        sheet.text((box.right + 6, box.y), text, SMALL, "left")


DIAGRAMS: dict[str, Callable[[], Sheet]] = {"overview": overview, "mask-adapter": mask_adapter, "sam": sam}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=IMAGES, help="folder for the files")
    parser.add_argument("--png", action="store_true", help="PNG instead of SVG, to look at")
    options = parser.parse_args()
    for name, draw in DIAGRAMS.items():
        draw().save(options.output / f"{name}{'.png' if options.png else '.svg'}")


if __name__ == "__main__":
    main()
