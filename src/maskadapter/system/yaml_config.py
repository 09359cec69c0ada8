"""Read settings from YAML, check them against a schema, and name the wrong key in a one-line error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from maskadapter.errors import MaskAdapterError
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.text_files import read_text

Settings = TypeVar("Settings", bound=BaseModel)

MAX_BYTES = 1_000_000


def read_yaml(path: Path, refusal: type[MaskAdapterError]) -> dict[str, Any]:
    """Return the mapping in a YAML file; plain data only, nothing is executed. Raises ``refusal``, one line."""
    text = read_text(path, MAX_BYTES, refusal)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}: {getattr(error, 'problem', None)})" if mark else ""
        raise refusal(f"{path} is not YAML{where}") from None
    except RecursionError:
        raise refusal(f"{path} is not YAML that can be read: it nests too deeply") from None
    if not isinstance(content, dict):
        raise refusal(f"{path} has no settings: lines of the form key: value are needed")
    return content


def checked(
    schema: type[Settings], content: Mapping[str, Any], source: str, refusal: type[MaskAdapterError]
) -> Settings:
    """Return the settings in a mapping, called ``source`` in messages.

    Raises ``refusal``, one line: the first key that is unknown ("did you mean"), missing, or out of its range.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        # An unknown key is often the cause of what else is wrong.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise refusal(f"{source}: {_described(schema, problems[0])}{more}") from None


def _described(schema: type[BaseModel], problem: Any) -> str:
    place: tuple[str | int, ...] = problem["loc"]
    key = ".".join(map(str, place)) or "the settings"
    if problem["type"] == "extra_forbidden":
        known = _fields(schema, place[:-1])
        return f"unknown key '{key}'; {did_you_mean(str(place[-1]), known, None if known else 'remove it')}"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    wrong = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # several keys that do not fit together
        return wrong
    given = repr(problem["input"])
    given = given if len(given) <= 60 else f"{given[:57]}..."
    return f"'{key}' is {given}: {wrong[:1].lower()}{wrong[1:]}"


def _fields(schema: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Names of the keys at a place inside a schema."""
    found: list[type[BaseModel]] = [schema]
    for step in place:
        if isinstance(step, str):
            fields = [model.model_fields[step] for model in found if step in model.model_fields]
            found = [part for field in fields for part in _models_of(field.annotation)] or found
    return sorted({name for model in found for name in model.model_fields})


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_of(part)]
