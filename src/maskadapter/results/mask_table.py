"""Segments as a table of comma-separated values."""

import csv
from collections.abc import Iterable
from io import StringIO

from maskadapter.results.result_segment import ResultSegment

BEST = 5  # classes of a mask

_FIRST = ("image", "mask", "class", "score", "area", "left", "top", "right", "bottom")
COLUMNS = (*_FIRST, *(f"{what}_{place}" for place in range(2, BEST + 1) for what in ("class", "score")))


def mask_table(segments: Iterable[ResultSegment], file_name: str) -> str:
    """A header and a line for each segment: image, id, class and score (0 to 1), area in pixels, box in pixels (right
    and bottom exclusive), and the next best classes with their scores, up to five in all. What is not there, as the
    class of an empty mask, is left empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for segment in segments:
        best = [cell for name, score in segment.top(BEST) for cell in (name, f"{score:.6f}")]
        best += [""] * (2 * BEST - len(best))
        writer.writerow([file_name, segment.id, *best[:2], segment.area, *segment.box, *best[2:]])
    return text.getvalue()
