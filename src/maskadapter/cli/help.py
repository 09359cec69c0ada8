"""Help that fits 80 columns: options in groups, and the values that one may have in its text."""

import functools
import inspect
from collections.abc import Callable
from copy import copy
from typing import Annotated, Any, Literal, get_args, get_origin

from typer.models import OptionInfo

from maskadapter.cli.console import stop_message

_GROUPS = {
    "Classes": ("classes", "background", "things", "second_classes", "partition"),
    "Data": (
        *("root", "split", "task", "limit", "dataset", "data", "number", "annotations", "images", "segments"),
        *("column",),
    ),
    "Masks": ("masks", "proposals", "alpha", "beta", "branch", "transfer_norm"),
    "Model": ("model", "pooler", "adapter", "architecture", "prune_proposals", "weights", "runs"),
    "Results": (
        *("output", "save", "format", "score", "min_area", "val", "top", "single", "pooling", "seen", "explain"),
        *("json", "metric", "resume", "half", "overwrite", "convention", "every", "shard_size"),
    ),
    "Service": ("host", "port", "token", "max_image_pixels", "max_body", "queue", "cache", "timeout", "label_studio"),
    "Computing": (
        *("device", "cpu", "threads", "precision", "offline", "download", "seed"),
        *("workers", "shard", "engine", "price"),
    ),
}
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}


def helpful(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with its options in groups, and choices in their texts: the column of types is as wide as its
    longest entry, and a list of choices there would leave no room for the texts, and be broken itself. It says when it
    is stopped."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        with stop_message():
            command(**given)

    signature = inspect.signature(command)
    parameters = [one.replace(annotation=_helpful(one.name, one.annotation)) for one in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    # Typer keeps the line breaks of a docstring beside its own.
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    run.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return run


def _helpful(name: str, annotation: Any) -> Any:
    kind, option = get_args(annotation)
    if not isinstance(option, OptionInfo):
        return annotation
    option = copy(option)  # several commands share it
    option.rich_help_panel = _GROUP_OF.get(name, option.rich_help_panel)
    literals = [part for part in (kind, *get_args(kind)) if get_origin(part) is Literal]  # of Literal[...] | None too
    if choices := [value for literal in literals for value in get_args(literal)]:
        option.metavar, option.help = "CHOICE", f"{option.help} One of {', '.join(choices)}."
    return Annotated[kind, option]
