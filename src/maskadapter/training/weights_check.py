"""Mistakes in a recipe's choice of weights, found before PyTorch is imported."""

from pathlib import PurePath

from maskadapter.errors import CheckpointError, RecipeError
from maskadapter.hub import ModelSource, check_source
from maskadapter.hub.zoo import CLIP_WEIGHTS
from maskadapter.models import MODEL_NAMES
from maskadapter.system.error_text import did_you_mean
from maskadapter.training.recipe import AnyRecipe, Recipe


def check_weights(recipe: AnyRecipe) -> None:
    """Raise what ``initial_model`` would raise as far as names and paths show it: RecipeError for an unknown
    architecture, CheckpointError for weights that are not on this machine."""
    weights, adapter = recipe.model.weights, recipe.model.adapter
    if isinstance(recipe, Recipe) and (name := recipe.model.architecture) not in MODEL_NAMES:
        raise RecipeError(f"unknown model.architecture '{name}': {did_you_mean(name, MODEL_NAMES)}")
    if weights not in CLIP_WEIGHTS:
        check_source(ModelSource(weights, "pooling"))
    try:
        check_source(ModelSource(adapter=adapter))
    except CheckpointError as error:
        place = PurePath(str(adapter)).parts
        if place[:1] != ("runs",):
            raise
        advice = f"train its warm-up first, the recipe {place[1]}.yaml, in the same current folder"
        raise CheckpointError(f"{str(error).partition(':')[0]}, the model.adapter: {advice}") from None
