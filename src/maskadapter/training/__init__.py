"""Training of an adapter or a mask generator by a recipe."""

from typing import TYPE_CHECKING

from maskadapter.system.lazy_door import on_first_use
from maskadapter.training.logged_metrics import LOGGED_METRICS
from maskadapter.training.recipe import read_recipe
from maskadapter.training.weights_check import check_weights

if TYPE_CHECKING:
    from maskadapter.training.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.training.torch_door")
