"""A run's folder belongs to one recipe, which lies in it together with what it was run by."""

import json
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import EllipsisType
from typing import Any

from maskadapter.errors import RecipeError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.training.recipe import Recipe, as_yaml, read_recipe

# What may change between two parts of one run without making it another run.
_FREE: dict[str, set[str] | EllipsisType] = {
    "run": {"save_every", "keep", "log_every", "checkpoint_blocks"},
    "data": {"workers"},
    "evaluation": ...,
}

_LIBRARIES = ("maskadapter", "torch", "open_clip_torch", "timm", "accelerate", "pillow", "numpy")


def settle(folder: Path, recipe: Recipe) -> None:
    """Write ``recipe.yaml``, defaults included, and ``versions.json``.

    Raises RecipeError where the folder holds a run by a recipe that would have given another result.
    """
    path = folder / "recipe.yaml"
    if path.exists():
        _refuse_another(path, recipe)
    elif (folder / "checkpoints").exists():
        raise RecipeError(f"{folder} holds checkpoints and no recipe.yaml: whose they are cannot be told; remove them")
    with write_atomically(path) as temporary:
        temporary.write_text(as_yaml(recipe), encoding="utf-8")
    write_json(folder / "versions.json", {name: version(name) for name in _LIBRARIES})


def fingerprint(recipe: Recipe) -> str:
    """The same for recipes that give the same weights."""
    return sha256(json.dumps(_fixed(recipe), sort_keys=True).encode()).hexdigest()[:16]


def _refuse_another(path: Path, recipe: Recipe) -> None:
    begun, now = (_fixed(part) for part in (read_recipe(path), recipe))
    for part, settings in now.items():
        if begun[part] != settings:
            raise RecipeError(
                f"{path.parent} holds a run by another recipe ({_difference(part, begun[part], settings)}): choose "
                "another folder, or remove this one"
            )


def _difference(part: str, begun: Any, now: Any) -> str:
    if not isinstance(now, dict):
        return f"{part} was {begun} and is {now}"
    key = next(key for key in now if begun.get(key) != now[key])
    return f"{part}.{key} was {begun.get(key)} and is {now[key]}"


def _fixed(recipe: Recipe) -> dict[str, Any]:
    content = recipe.model_dump(mode="json")
    for part, keys in _FREE.items():
        content[part] = {} if keys is ... else {k: v for k, v in content[part].items() if k not in keys}
    return content
