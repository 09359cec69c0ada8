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
    parts: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not any(part.startswith("*") for part in parts):
            parts.append("*")
        parts.append(_parameter(parameter))
    returned = signature.return_annotation
    end = "" if returned in (inspect.Signature.empty, None) else f" -> {_type(returned)}"
    line = f"{name}({', '.join(parts)}){end}"
    return line if len(line) <= _WIDTH else "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){end}"])


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = stars + parameter.name
    if parameter.annotation is not inspect.Parameter.empty:
        text += f": {_type(parameter.annotation)}"
    return text if parameter.default is inspect.Parameter.empty else f"{text} = {parameter.default!r}"


def _type(annotation: Any) -> str:
    """Return an annotation without the modules in which its types are defined."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


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
