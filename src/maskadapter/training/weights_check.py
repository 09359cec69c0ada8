"""Mistakes in a recipe's choice of weights, found before PyTorch is imported."""

from maskadapter.errors import RecipeError
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
    check_source(ModelSource(adapter=adapter))
