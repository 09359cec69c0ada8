"""What a figure compares, by the names that stand in its legend: ``LABEL=PATH``, or a path alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from maskadapter.errors import MaskAdapterError
from maskadapter.paper.figures.page import COLORS

Content = TypeVar("Content")


def split_label(text: str | Path) -> tuple[str | None, str]:
    """``"ours=run"`` -> ("ours", "run"). A path that is there, or without "=", has no label: None."""
    label, equals, rest = str(text).partition("=")
    return (label, rest) if equals and label and rest and not Path(text).exists() else (None, str(text))


def labeled(sources: Sequence[str | Path], read: Callable[[Path], tuple[str, Content]]) -> Mapping[str, Content]:
    """Label -> what was read. read: a path -> the label that it has where none is given, and the content.

    Raises MaskAdapterError: none or more than there are colors, one label twice.
    """
    if not 1 <= len(sources) <= len(COLORS):
        raise MaskAdapterError(f"{len(sources)} were given to be compared; 1 to {len(COLORS)} fit into a figure")
    found: dict[str, Content] = {}
    for source in sources:
        label, path = split_label(source)
        own, content = read(Path(path))
        if (label or own) in found:
            raise MaskAdapterError(f"two are called '{label or own}': give each a name of its own, LABEL=PATH")
        found[label or own] = content
    return found
