"""The folder of a training run: it belongs to one recipe and records the versions of the libraries."""

import json
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import yaml

from maskadapter.errors import RecipeError
from maskadapter.system.json_files import write_json
from maskadapter.system.run_folder import claim
from maskadapter.training.recipe import Recipe, as_yaml

# These may change between two parts of one run: they do not change the weights.
_FREE = ("run.save_every", "run.keep", "run.log_every", "run.checkpoint_blocks", "data.workers", "evaluation")

_LIBRARIES = ("maskadapter", "torch", "open_clip_torch", "timm", "accelerate", "pillow", "numpy")


def claim_run_folder(folder: Path, recipe: Recipe) -> None:
    """Write ``recipe.yaml``, defaults included, and ``versions.json``.

    Raises RecipeError where the folder holds a run by a recipe that would have given another result.
    """
    claim(folder, yaml.safe_load(as_yaml(recipe)), "recipe.yaml", RecipeError, _FREE, results="checkpoints")
    write_json(folder / "versions.json", {name: version(name) for name in _LIBRARIES})


def fingerprint(recipe: Recipe) -> str:
    """A hash that is the same for recipes that give the same weights."""
    content = recipe.model_dump(mode="json")
    for key in _FREE:
        section, _, name = key.partition(".")
        del (content[section] if name else content)[name or section]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
