"""Write a Markdown table."""

from collections.abc import Iterable, Sequence

_RULES = {"l": "---", "r": "---:", "c": ":---:"}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> list[str]:
    """Return the lines of a table. align: one letter for each column, l, r or c; without it all are l.

    A ``|`` inside a text is escaped.
    """
    rule = [_RULES[letter] for letter in align or "l" * len(header)]
    return [_line(header), f"| {' | '.join(rule)} |", *map(_line, rows)]


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"
