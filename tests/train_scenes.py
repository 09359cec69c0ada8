"""Train by a recipe on procedural scenes, in a process of its own: ``python train_scenes.py RECIPE OUTPUT``."""

import sys

from maskadapter.data.scenes import Scenes
from maskadapter.training.recipe import read_recipe
from maskadapter.training.train import train

if __name__ == "__main__":
    recipe = read_recipe(sys.argv[1])
    train(recipe, [Scenes(12, seed=part) for part in range(len(recipe.data.train))], sys.argv[2], device="cpu")
