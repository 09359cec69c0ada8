"""Names that earlier versions documented and that are spelled otherwise now: each is refused with its new name."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from maskadapter.errors import MaskAdapterError

Kind = Literal["api", "attribute", "keyword", "option", "branch", "figure", "recipe key", "SAM option"]
Function = TypeVar("Function", bound=Callable[..., Any])

_RENAMED: Mapping[Kind, Mapping[str, str]] = json.loads(Path(__file__).with_name("renamed.json").read_bytes())
_SINCE: Mapping[Kind, str] = {"figure": "0.3"}  # all others: 0.2
_GONE = {"--exact": "every proposal is computed unless --fast is given: leave --exact out"}


def renamed(kind: Kind) -> Mapping[str, str]:
    """Return the old names of one kind, each with the new one."""
    return _RENAMED[kind]


def advice(kind: Kind, old: str) -> str | None:
    """Return the line that says what an old name is called now; None for a name that is not old."""
    if kind == "option" and old in _GONE:
        return _GONE[old]
    new = renamed(kind).get(old)
    return None if new is None else f"{old} is called {new} since version {_SINCE.get(kind, '0.2')}"


def refuse_old_keywords(function: Function) -> Function:
    """Let a function raise MaskAdapterError, one line, for keywords that it lacks and whose new name it has."""
    own = inspect.signature(function).parameters.keys()
    old_names = {old for old, new in renamed("keyword").items() if old not in own and new in own}

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        for old in old_names & keywords.keys():
            raise MaskAdapterError(f"{function.__name__}: {advice('keyword', old)}")
        return function(*arguments, **keywords)

    return cast(Function, call)


def refuse_old_attribute(name: str) -> None:
    """Raise AttributeError for an attribute of a model that has a new name."""
    if name in renamed("attribute"):
        raise AttributeError(advice("attribute", name))
