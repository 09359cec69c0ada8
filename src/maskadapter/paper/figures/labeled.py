"""Name what a figure compares: ``LABEL=SOURCE``, or a source alone, which has a name of its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from maskadapter.errors import MaskAdapterError
from maskadapter.paper.figures.page import COLORS

Content = TypeVar("Content")


def labeled(
    sources: Sequence[str | Path], read: Callable[[str], tuple[str, Content]], most: int = len(COLORS)
) -> Mapping[str, Content]:
    """Return by label what ``read`` makes of each source: the label that it has where none is given, and the content.

    most: how many fit into the figure. Raises MaskAdapterError for no source, too many, or two with the same label.
    """
    if not 1 <= len(sources) <= most:
        raise MaskAdapterError(f"{len(sources)} were given to be compared; 1 to {most} fit into a figure")
    found: dict[str, Content] = {}
    for source in sources:
        label, _, rest = str(source).partition("=")
        if not label or not rest or Path(source).exists():  # a path may have the sign in it
            label, rest = "", str(source)
        own, content = read(rest)
        if (label or own) in found:
            raise MaskAdapterError(f"two have the label '{label or own}': give each its own, LABEL={rest}")
        found[label or own] = content
    return found
