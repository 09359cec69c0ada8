"""Training of an adapter or a mask generator by a recipe."""

from maskadapter.training.recipe import read_recipe
from maskadapter.training.run_folder import fingerprint
from maskadapter.training.trainer import train
from maskadapter.training.validation import LOGGED_METRICS, Validation

__all__ = [
    "LOGGED_METRICS",
    "Validation",
    "fingerprint",
    "read_recipe",
    "train",
]
