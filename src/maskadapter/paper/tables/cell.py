"""One measured number of a table beside the published one."""

import math
from dataclasses import dataclass

from maskadapter.paper.tables.table import Published


@dataclass(frozen=True)
class Cell:
    """One number of one row, in percent, or the reason why it is missing.

    measured, error: the number and its standard error over images; NaN where nothing could be measured.
    paper: the published number. comparable: whether that is of the same model, images and classes.
    difference, difference_error: from the row ``Row.against``, where both were evaluated on the same images.
    seconds: the median of an image. images: how many. folder: of the evaluation.
    missing: why it was not measured; () where it was.
    """

    measured: float = math.nan
    error: float = math.nan
    paper: Published | None = None
    comparable: bool = False
    difference: float = math.nan
    difference_error: float = math.nan
    seconds: float = math.nan
    images: int = 0
    folder: str = ""
    missing: tuple[str, ...] = ()
