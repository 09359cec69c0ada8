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
    head, *body = [[_padded(*one) for one in zip(line, letters, widths, strict=True)] for line in lines]
    return [f"| {' | '.join(texts)} |" for texts in (head, rule, *body)]


def _rule(letter: str, width: int) -> str:
    start, end = ":" * (letter == "c"), ":" * (letter in "cr")
    return start + "-" * (width - len(start) - len(end)) + end


def _padded(text: str, letter: str, width: int) -> str:
    return {"l": text.ljust, "r": text.rjust, "c": text.center}[letter](width)
