"""Training of an adapter or a mask generator by a recipe."""

from maskadapter.training.recipe import read_recipe
from maskadapter.training.run_folder import fingerprint
from maskadapter.training.trainer import train
from maskadapter.training.validation import LOGGED_METRICS, Validation
