"""Writes the reference of the public names from their docstrings."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import maskadapter as ma

_ENTRY = re.compile(r"^- `(\w+)`$", re.MULTILINE)
_PARAMETER = re.compile(r"(\w+(?:, \w+)*): ")
_WIDTH = 100


def names(page: str) -> list[str]:
    """Return the public names that a page lists, each in a line of its own."""
    return _ENTRY.findall(page)


def written_out(page: str) -> str:
    """Return the page with signature and docstring in place of each listed name."""
    return _ENTRY.sub(lambda found: "\n".join(_entry(found[1])), page)


def _entry(name: str) -> Iterator[str]:
    value = getattr(ma, name)
    yield from (f"### {name}", "", *_described(name, value), "")
    if inspect.isclass(value):
        for member, method in _methods(value):
            yield from (f"#### {name}.{member}", "", *_described(member, method), "")


def _methods(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that the project wrote, in the order in which it did."""
    found = {}
    for base in reversed(owner.__mro__):
        if base.__module__.startswith("maskadapter."):
            found |= {name: value for name, value in vars(base).items() if not name.startswith("_")}
    for name, value in found.items():
        function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if inspect.isfunction(function) or isinstance(value, property):
            yield name, function


def _described(name: str, value: Any) -> Iterator[str]:
    parameters: set[str] = set()
    if not isinstance(value, property):
        signature = _signature(value)
        if signature:
            parameters = set(signature.parameters)
            yield from ("```python", _written(name, signature), "```", "")
    yield _markdown(inspect.getdoc(value) or "", parameters | set(getattr(value, "__annotations__", ())))


def _signature(value: Any) -> inspect.Signature | None:
    """Return the signature without ``self``, or None where it says nothing: that of an exception."""
    if inspect.isclass(value) and issubclass(value, Exception):
        return None
    signature = inspect.signature(value)
    wanted = [each for each in signature.parameters.values() if each.name not in ("self", "cls")]
    return signature.replace(parameters=wanted)


def _written(name: str, signature: inspect.Signature) -> str:
    """Return a signature in one line, or with a line for each parameter where that is too long."""
    line = f"{name}{signature}".replace("'", "").replace("maskadapter.", "")
    if len(line) <= _WIDTH:
        return line
    rows, star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not star:
            rows.append("    *,")
        star = star or parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL)
        rows.append(f"    {parameter},".replace("'", ""))
    returned = signature.return_annotation
    end = "" if returned is inspect.Signature.empty else f" -> {inspect.formatannotation(returned)}".replace("'", "")
    return "\n".join([f"{name}(", *rows, f"){end}"]).replace("maskadapter.", "")


def _markdown(doc: str, parameters: set[str]) -> str:
    """Return a docstring as Markdown: a list item for each line that begins with names of parameters."""
    lines: list[str] = []
    listed = False
    for line in doc.replace("``", "`").splitlines():
        found = _PARAMETER.match(line)
        if found and set(found[1].split(", ")) <= parameters:
            if not listed:
                lines.append("")
            line, listed = f"- **{found[1]}**: {line[found.end() :]}", True
        elif not line:
            listed = False
        lines.append(line)
    return "\n".join(lines)
