"""Write a Markdown table that also reads well as plain text."""

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> list[str]:
    """Return the lines of a table, its columns padded to one width.

    rows: each with as many texts as the header; a ``|`` in them is escaped. align: one letter for each column, ``l``,
    ``r`` or ``c``; without it all are ``l``. A last column of ``l``, which may hold sentences, is not padded.
    """
    letters = align or "l" * len(header)
    lines = [[text.replace("|", r"\|") for text in line] for line in (header, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    if letters[-1] == "l":
        widths[-1] = 3
    rule = [_rule(letter, width) for letter, width in zip(letters, widths, strict=True)]
    pad = {"l": str.ljust, "r": str.rjust, "c": str.center}
    padded = [[pad[key](text, width) for text, key, width in zip(line, letters, widths, strict=True)] for line in lines]
    return [f"| {' | '.join(texts)} |" for texts in (padded[0], rule, *padded[1:])]


def _rule(letter: str, width: int) -> str:
    start, end = ":" * (letter == "c"), ":" * (letter in "cr")
    return start + "-" * (width - len(start) - len(end)) + end
