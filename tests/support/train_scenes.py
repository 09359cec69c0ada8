"""Train by a recipe on procedural scenes, in processes started by a launcher.

    python train_scenes.py RECIPE OUTPUT PROCESSES

PROCESSES is how many are expected: a launcher may silently start fewer than it was asked for.
"""

import sys

from accelerate import PartialState

from maskadapter.data.scenes.scenes import Scenes
from maskadapter.training.recipe import read_recipe
from maskadapter.training.trainer import train

if __name__ == "__main__":
    recipe = read_recipe(sys.argv[1])
    assert PartialState(cpu=True).num_processes == int(sys.argv[3])
    train(recipe, [Scenes(12, seed=part) for part in range(len(recipe.data.train))], sys.argv[2], device="cpu")
