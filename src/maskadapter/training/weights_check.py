"""Mistakes in a recipe's choice of weights, found before PyTorch is imported."""

from maskadapter.errors import RecipeError
from maskadapter.hub import DEFAULT, ModelSource, check_source
from maskadapter.hub.zoo import CLIP_WEIGHTS
from maskadapter.models import MODEL_NAMES
from maskadapter.system.error_text import did_you_mean
from maskadapter.training.recipe import Recipe


def check_weights(recipe: Recipe) -> None:
    """Raise what ``initial_model`` would raise as far as names and paths show it: RecipeError for an unknown
    architecture, CheckpointError for weights that are not on this machine."""
    name, weights, adapter = recipe.model.architecture, recipe.model.weights, recipe.model.adapter
    if name not in MODEL_NAMES:
        raise RecipeError(f"unknown model.architecture '{name}': {did_you_mean(name, MODEL_NAMES)}")
    if weights not in CLIP_WEIGHTS:
        check_source(ModelSource(weights, "pooling"))
    if adapter not in (None, DEFAULT):
        check_source(ModelSource(adapter=adapter))
